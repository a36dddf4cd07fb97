"""A function over many items in several processes: bounded memory, no lost error, no orphan.

Every worker process has its own pipe and a thread here that feeds it. A worker that dies closes
its pipe, so its death is seen at once, even in the middle of a result; with one shared queue the
same death can leave every reader waiting for ever.
"""

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, Literal, TypeVar

from taolu.errors import WorkerError

Item = TypeVar("Item")
Result = TypeVar("Result")
OnError = Literal["raise", "skip"] | Callable[[Any, Exception], object]

_FUNC_RULE = "`func` must be a function at the top level of a module, or picklable otherwise"
_INITIALIZER_RULE = "`initializer` and `initargs` must be picklable, as `func` must"
_ITEM_RULE = "`iterable` must yield items that can be pickled"
_RESULT_RULE = "`func` must return values that can be pickled (a list, not a generator)"

_LEAVE_SECONDS = 5.0  # an idle worker that has not left by then is ended


def parallel_map(
    func: Callable[[Item], Result],
    iterable: Iterable[Item],
    workers: int | None = None,
    *,
    chunk: int = 1,
    max_queue: int | None = None,
    ordered: bool = True,
    initializer: Callable[..., object] | None = None,
    initargs: tuple = (),
    on_error: OnError = "raise",
) -> Generator[Result, None, None]:
    """Yields `func(item)` for every item, computed by worker processes.

    `iterable` is read only as results are taken: never more than `max_queue` chunks lie between
    the items read and the results handed out. The workers are started afresh ("spawn"), so a
    script calls this under `if __name__ == "__main__":`. They end with the iterator, however it
    ends: exhausted, closed early, interrupted, or with this process killed. Inside a worker,
    nested calls run in that worker.

    Args:
        func: A function of one item at the top level of a module, or another picklable callable;
            it is sent to each worker once. Items and results must be picklable too.
        iterable: The items; may be endless.
        workers: Number of processes; 1 runs in this process, None is `available_cores()`.
        chunk: Items sent at a time. Raise it where `func` takes less than a millisecond.
        max_queue: Chunks read ahead, at least 1; None is `2 * workers`.
        ordered: Results in the order of the items; else as they come.
        initializer: Called once in each worker, before any item, as `initializer(*initargs)`.
        initargs: Its arguments.
        on_error: What an exception from `func` does: "raise" it here, with the worker's traceback
            as its cause; "skip" the item; or a function called here as `on_error(item, exception)`,
            after which the item is left out.

    Returns:
        An iterator over the results; its `close()` ends the workers early.

    Raises:
        ValueError: A number below 1, or an unknown `on_error`.
        TypeError: `func`, an item or a result cannot be pickled.
        WorkerError: A worker died.

    Example:
        >>> list(parallel_map(abs, [3, -1, -2], workers=1))
        [3, 1, 2]
    """
    workers = available_cores() if workers is None else workers
    max_queue = 2 * workers if max_queue is None else max_queue
    for name, value in (("workers", workers), ("chunk", chunk), ("max_queue", max_queue)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value!r}.")
    if on_error not in ("raise", "skip") and not callable(on_error):
        raise ValueError(
            '`on_error` must be "raise", "skip" or a function of an item and an exception. '
            f"Received: on_error={on_error!r}."
        )
    if workers == 1 or multiprocessing.current_process().daemon:
        return _map_here(func, iterable, initializer, initargs, on_error)
    setup = (
        _pickled(func, _FUNC_RULE),
        _pickled((initializer, initargs), _INITIALIZER_RULE),
        on_error == "raise",
    )
    return _map_there(_Pool(workers, setup), iterable, chunk, max_queue, ordered, on_error)


def available_cores() -> int:
    """Returns the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class _Failure:
    """An exception on its way from a worker."""

    error: Exception
    traceback: str

    def throw(self) -> None:
        raise self.error from _WorkerTraceback(self.traceback)


class _WorkerTraceback(Exception):
    """Where in the worker the exception came from; shown as its cause."""

    def __str__(self) -> str:
        return f'in a worker process:\n"""\n{self.args[0]}"""'


def _map_here(func, iterable, initializer, initargs, on_error):
    if initializer is not None:
        initializer(*initargs)
    for item in iterable:
        try:
            result = func(item)
        except Exception as error:
            if on_error == "raise":
                raise
            if on_error != "skip":
                on_error(item, error)
        else:
            yield result


def _map_there(pool, iterable, chunk, max_queue, ordered, on_error):
    source, more, finished = iter(iterable), True, False
    pending: deque[tuple[Future, list]] = deque()
    try:
        while more or pending:
            while more and len(pending) < max_queue:
                items = list(islice(source, chunk))
                more = len(items) == chunk
                if items:
                    pending.append((pool.submit(_pickled(items, _ITEM_RULE)), items))
            if pending:
                yield from _results(*_next(pending, ordered), on_error)
        finished = True
    finally:
        pool.close(finished)


def _next(pending: deque[tuple[Future, list]], ordered: bool) -> tuple[Future, list]:
    if not ordered:
        wait([future for future, _ in pending], return_when=FIRST_COMPLETED)
        while not pending[0][0].done():
            pending.rotate(-1)
    return pending.popleft()


def _results(future, items, on_error):
    outcomes = future.result()
    if isinstance(outcomes, _Failure):
        outcomes.throw()
    for item, outcome in zip(items, outcomes, strict=False):
        if not isinstance(outcome, _Failure):
            yield outcome
        elif on_error == "raise":
            outcome.throw()
        elif on_error != "skip":
            on_error(item, outcome.error)


class _Pool:
    """Worker processes, started when first needed, each behind its own pipe."""

    def __init__(self, workers: int, setup: tuple):
        self.workers, self.setup = workers, setup
        self.spawn = multiprocessing.get_context("spawn")
        self.threads = ThreadPoolExecutor(workers, "taolu-parallel")
        self.processes: list[Any] = []
        self.pipes: list[Connection] = []
        self.idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()

    def submit(self, data: bytes) -> Future:
        if len(self.processes) < self.workers:
            self._start()
        return self.threads.submit(self._call, data)

    def _start(self) -> None:
        ours, theirs = self.spawn.Pipe()
        process = self.spawn.Process(target=_serve, args=(theirs, self.setup), daemon=True)
        try:
            with _interrupts_held():
                process.start()
        finally:
            # Held by the worker alone, so that its death closes the pipe.
            theirs.close()
        self.processes.append(process)
        self.pipes.append(ours)
        self.idle.put(ours)

    def _call(self, data: bytes):
        pipe = self.idle.get()
        try:
            pipe.send_bytes(data)
            reply = pipe.recv_bytes()
        except (EOFError, OSError):
            # No result can follow in order: free the threads that wait for the other workers.
            self.kill()
            raise WorkerError(
                "A worker process died before it returned its result: most likely it was killed, "
                "or the machine ran out of memory; use fewer `workers` or smaller chunks. A script "
                'must call `parallel_map` under `if __name__ == "__main__":`.'
            ) from None
        finally:
            self.idle.put(pipe)
        return pickle.loads(reply)

    def kill(self) -> None:
        for process in self.processes:
            process.kill()

    def close(self, finished: bool) -> None:
        if not finished:
            self.kill()
        self.threads.shutdown(cancel_futures=True)
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(_LEAVE_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()


@contextlib.contextmanager
def _interrupts_held():
    """A worker inherits the blocked signal: Ctrl-C during its start prints no traceback."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its own start would unblock the signal
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _pickled(value: Any, rule: str) -> bytes:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        text = repr(value)
        raise TypeError(
            f"{rule}, to reach another process; workers=1 stays in this one. "
            f"Received: {text[:80]}{'...' * (len(text) > 80)} ({error})."
        ) from error


def _serve(pipe: Connection, setup: tuple) -> None:
    """The life of a worker: answers each chunk with a list of outcomes, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    func = _set_up(*setup[:2])
    with contextlib.suppress(EOFError, OSError):
        while True:
            data = pipe.recv_bytes()
            pipe.send_bytes(_reply(func, data, stop=setup[2]))


def _set_up(func: bytes, initializer: bytes):
    """Returns the function, or why there is none: every chunk is answered with that."""
    try:
        start, arguments = pickle.loads(initializer)
        if start is not None:
            start(*arguments)
    except Exception as error:
        return _failure(error)
    try:
        return pickle.loads(func)
    except Exception as error:
        return _failure(TypeError(f"{_FUNC_RULE}. A worker cannot import it ({error})."))


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _reply(func, data: bytes, stop: bool) -> bytes:
    if isinstance(func, _Failure):
        return pickle.dumps(func)
    try:
        outcomes: list = []
        for item in pickle.loads(data):
            try:
                outcomes.append(func(item))
            except Exception as error:
                outcomes.append(_failure(error))
                if stop:
                    break
        return _pickled(outcomes, _RESULT_RULE)
    except Exception as error:
        return pickle.dumps(_failure(error))


def _failure(error: Exception) -> _Failure:
    text = "".join(traceback.format_exception(error))
    try:
        # Some exceptions pickle but do not unpickle: those with arguments of their own.
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return _Failure(error, text)
