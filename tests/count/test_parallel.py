import itertools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from pathlib import Path

import pytest

from taolu.count.parallel import available_cores, parallel_map
from taolu.errors import WorkerError

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def square(number):
    return number * number


def process_of(item):
    return os.getpid()


def slow_first(number):
    if number == 0:
        time.sleep(0.5)
    return number


def fail_on_three(number):
    if number == 3:
        raise KeyError("three is refused")
    return number


class OddError(Exception):
    """Pickles, but does not come back: its arguments are not those of its constructor."""

    def __init__(self, name, number):
        super().__init__(f"{name} {number}")


def fail_oddly(number):
    raise OddError("number", number)


def make_generator(number):
    return (number for _ in range(2))


def kill_self_on_two(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60 if number == 1 else 0)
    return number


def leave(number):
    raise SystemExit(3)


def sleep_long(number):
    time.sleep(60)


def sleep_unless_zero(number):
    time.sleep(60 if number else 0)
    return number


def announce_and_sleep(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)


def nested(number):
    return list(parallel_map(square, [number, number + 1], workers=4))


def interrupt_handler(number):
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


VALUE = 0


def set_value(value):
    global VALUE
    VALUE = value


def get_value(item):
    return VALUE + item


def fail_to_start():
    raise LookupError("no dictionary here")


class Counted:
    """An iterator that remembers how far it was read."""

    def __init__(self, items):
        self.items, self.read = iter(items), 0

    def __iter__(self):
        return self

    def __next__(self):
        item = next(self.items)
        self.read += 1
        return item


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie still has a number; it is no longer running.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.fixture(autouse=True)
def _no_worker_and_no_thread_outlives_a_test():
    yield
    assert multiprocessing.active_children() == []
    assert not [t for t in threading.enumerate() if t.name.startswith("taolu-parallel")]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_results_come_in_order(workers, chunk):
    results = parallel_map(square, range(10), workers, chunk=chunk)
    assert list(results) == [n * n for n in range(10)]


def test_work_is_done_elsewhere_by_at_most_so_many_workers():
    pids = set(parallel_map(process_of, range(12), workers=2))
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids
    assert not any(alive(pid) for pid in pids)
    assert set(parallel_map(process_of, range(3), workers=1)) == {os.getpid()}


def test_one_chunk_starts_one_worker():
    results = parallel_map(process_of, range(3), workers=3, chunk=5)
    next(results)
    assert len(multiprocessing.active_children()) == 1
    results.close()


def test_empty_input():
    assert list(parallel_map(square, [], workers=2)) == []
    assert list(parallel_map(square, [], workers=1)) == []


def test_unordered_hands_out_what_is_ready():
    results = list(parallel_map(slow_first, range(6), workers=2, ordered=False))
    assert sorted(results) == list(range(6))
    assert results[0] != 0


@pytest.mark.parametrize("ordered", [True, False])
def test_input_is_never_read_further_than_the_queue(ordered):
    items = Counted(itertools.count())
    results = parallel_map(square, items, workers=2, chunk=2, max_queue=3, ordered=ordered)
    assert items.read == 0
    for taken in range(1, 12):
        next(results)
        # Chunks taken from, in full, and three more.
        assert items.read <= 2 * ((taken + 1) // 2 + 3)
    results.close()
    assert items.read <= 18


def test_one_worker_reads_one_item_at_a_time():
    items = Counted(itertools.count())
    results = parallel_map(square, items, workers=1)
    assert [next(results), next(results), items.read] == [0, 1, 2]


def test_exception_shows_where_in_the_worker_it_was_raised():
    results = parallel_map(fail_on_three, range(6), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="three is refused") as caught:
        next(results)
    text = "".join(traceback.format_exception(caught.value))
    assert "in a worker process" in text
    assert "in fail_on_three" in text
    assert 'raise KeyError("three is refused")' in text


@pytest.mark.parametrize("workers", [1, 2])
def test_items_before_the_failing_one_of_a_chunk_are_handed_out(workers):
    results = parallel_map(fail_on_three, range(6), workers, chunk=6)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(results)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("chunk", [1, 4])
def test_on_error_skips_or_tells(workers, chunk):
    options = {"workers": workers, "chunk": chunk}
    assert list(parallel_map(fail_on_three, range(6), on_error="skip", **options)) == [
        0, 1, 2, 4, 5,
    ]  # fmt: skip
    told = []
    results = parallel_map(
        fail_on_three, range(6), on_error=lambda *pair: told.append(pair), **options
    )
    assert list(results) == [0, 1, 2, 4, 5]
    assert [(item, type(error)) for item, error in told] == [(3, KeyError)]


def test_exception_that_cannot_travel_is_told_by_name():
    with pytest.raises(RuntimeError, match="OddError: number 0") as caught:
        list(parallel_map(fail_oddly, range(2), workers=2))
    assert "in fail_oddly" in str(caught.value.__cause__)


def test_error_of_the_input_passes_through():
    def items():
        yield 1
        raise OSError("the input broke")

    with pytest.raises(OSError, match="the input broke"):
        list(parallel_map(square, items(), workers=2))


@POSIX
@pytest.mark.parametrize("ordered", [True, False])
def test_killed_worker_is_an_error_at_once(ordered):
    # Item 1 sleeps a minute: its death sentence must not wait for it.
    results = parallel_map(kill_self_on_two, [1, 2, 3], workers=2, ordered=ordered)
    with pytest.raises(WorkerError, match="killed, or the machine ran out of memory; use fewer"):
        list(results)


def test_worker_that_leaves_is_an_error():
    with pytest.raises(WorkerError):
        list(parallel_map(leave, [1], workers=2))


def test_initializer_runs_in_each_worker():
    results = parallel_map(get_value, [1, 2], workers=2, initializer=set_value, initargs=(40,))
    assert list(results) == [41, 42]
    assert VALUE == 0


def test_initializer_that_fails_is_raised_here():
    with pytest.raises(LookupError, match="no dictionary here") as caught:
        list(parallel_map(square, [1], workers=2, initializer=fail_to_start, on_error="skip"))
    assert "in fail_to_start" in str(caught.value.__cause__)


def test_nested_call_runs_in_its_worker():
    assert list(parallel_map(nested, [1, 2], workers=2)) == [[1, 4], [4, 9]]


def test_workers_ignore_the_keyboard():
    assert list(parallel_map(interrupt_handler, range(2), workers=2)) == [True, True]


def test_closing_early_does_not_wait_for_running_work():
    results = parallel_map(sleep_unless_zero, itertools.count(), workers=2)
    assert next(results) == 0
    assert len(multiprocessing.active_children()) == 2
    results.close()
    assert multiprocessing.active_children() == []


def test_forgetting_the_results_ends_the_workers():
    results = parallel_map(sleep_unless_zero, itertools.count(), workers=2)
    next(results)
    del results
    assert multiprocessing.active_children() == []


@POSIX
def test_worker_killed_from_outside_is_an_error():
    errors = []

    def collect():
        try:
            list(parallel_map(sleep_long, range(2), workers=2))
        except WorkerError as error:
            errors.append(error)

    thread = threading.Thread(target=collect)
    thread.start()
    wait_until(lambda: len(multiprocessing.active_children()) == 2)
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    thread.join(20)
    assert len(errors) == 1


def test_what_cannot_be_pickled_is_named():
    with pytest.raises(TypeError, match="`func` must be a function at the top level of a module"):
        parallel_map(lambda n: n, [1], workers=2)
    with pytest.raises(TypeError, match="`initializer` and `initargs` must be picklable"):
        parallel_map(square, [1], workers=2, initializer=lambda: None)
    with pytest.raises(TypeError, match="`iterable` must yield items that can be pickled"):
        list(parallel_map(square, [lambda: None], workers=2))
    with pytest.raises(TypeError, match=r"`func` must return values .*a list, not a generator"):
        list(parallel_map(make_generator, [1], workers=2))
    assert list(parallel_map(lambda n: n, [1], workers=1)) == [1]


@pytest.mark.parametrize("name", ["workers", "chunk", "max_queue"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1. Received: {name}=0"):
        parallel_map(square, [1], **{"workers": 2, name: 0})


def test_unknown_on_error_is_refused():
    with pytest.raises(ValueError, match=r"`on_error` must be .* Received: on_error='ignore'"):
        parallel_map(square, [1], on_error="ignore")


def test_available_cores():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


SCRIPT = """
    import sys
    sys.path[:0] = {paths!r}
    from test_parallel import announce_and_sleep
    from taolu.count.parallel import parallel_map
    if __name__ == "__main__":
        list(parallel_map(announce_and_sleep, [{folder!r}] * 2, workers=2))
"""


@POSIX
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_die_with_their_parent(tmp_path, death):
    script = tmp_path / "script.py"
    here = Path(__file__).parent
    paths = [str(here), str(here.parents[1])]
    pids = tmp_path / "pids"
    pids.mkdir()
    script.write_text(textwrap.dedent(SCRIPT.format(paths=paths, folder=str(pids))))
    with subprocess.Popen(
        [sys.executable, script], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        wait_until(lambda: len(list(pids.iterdir())) == 2)
        workers = [int(path.name) for path in pids.iterdir()]
        assert all(alive(pid) for pid in workers)
        if death == signal.SIGINT:
            os.killpg(parent.pid, death)  # as the keyboard does: the workers too
        else:
            parent.send_signal(death)
        _, errors = parent.communicate(timeout=20)
    wait_until(lambda: not any(alive(pid) for pid in workers))
    # One traceback at most: that of the parent.
    assert errors.count("Traceback") == (1 if death == signal.SIGINT else 0), errors


def test_results_survive_a_round_of_large_items():
    # Far more than a pipe holds, both ways at once.
    items = [bytes(1 << 20) for _ in range(8)]
    results = parallel_map(pickle.dumps, items, workers=2, max_queue=8)
    assert [len(pickle.loads(result)) for result in results] == [1 << 20] * 8
