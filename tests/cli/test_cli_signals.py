"""Ctrl-C, `kill` and a worker that dies: one line, an exit code, no process and no file left."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import COMMAND, assert_fails, environment, noise, sentences

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")

# The command line, with one stage of `learn` made to last: it says so and waits.
SLOW = """
import sys, time
import taolu.mine.learn as mine
from taolu.cli import main

stage, now = sys.argv.pop(), sys.argv.pop()

def wait(*arguments, **options):
    open(now, "w").close()
    time.sleep(60)

setattr(mine, stage, wait)
main()
"""


def children(pid):
    """Process ids of the living children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(entry.name))
    return found


def command_line(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def wait_until(true, process=None, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.005)


@contextlib.contextmanager
def started(command, folder):
    """The process in a session of its own, as in a terminal; checks what it leaves."""
    (folder / "scratch").mkdir()
    env = environment(TMPDIR=folder / "scratch")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(
        [str(word) for word in command], cwd=folder, env=env, start_new_session=True, **pipes
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finished(process, folder):
    """What came of the process; no child lives on, no file is left but the text."""
    family = children(process.pid)
    out, error = process.communicate(timeout=60)
    wait_until(lambda: not any(command_line(pid) for pid in family), seconds=20)
    assert list((folder / "scratch").iterdir()) == []
    assert sorted(path.name for path in folder.iterdir()) == ["scratch", "text.txt"]
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "text.txt").write_text("\n".join(sentences(100)), encoding="utf-8")
    return tmp_path


@pytest.fixture
def long_folder(tmp_path):
    """A text that two workers count for a while in little memory."""
    lines = noise(6000)
    (tmp_path / "text.txt").write_text("\n".join(lines * 5), encoding="utf-8")
    return tmp_path


COUNTING = [*COMMAND, "learn", "text.txt", "--workers", "2", "--memory", "1500KB"]


def is_counting(folder):
    return lambda: any((folder / "scratch").glob("taolu-count-*/*.run"))


def test_a_worker_killed_while_it_counts_is_an_error(long_folder):
    with started(COUNTING, long_folder) as process:
        wait_until(is_counting(long_folder), process)
        workers = [p for p in children(process.pid) if b"spawn_main" in command_line(p)]
        os.kill(workers[0], signal.SIGKILL)
        done = finished(process, long_folder)
    assert_fails(done, "a worker process died", "--workers")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_workers_and_their_files_go_when_counting_is_stopped(long_folder, name):
    number = getattr(signal, name)
    with started(COUNTING, long_folder) as process:
        wait_until(is_counting(long_folder), process)
        # Ctrl-C reaches every process of the terminal, `kill` only one.
        os.killpg(process.pid, number) if name == "SIGINT" else os.kill(process.pid, number)
        done = finished(process, long_folder)
    assert_fails(done, "interrupted", code=128 + number)


@pytest.mark.parametrize("stage", ["encode", "discover", "learn_lexicon", "word_table"])
def test_ctrl_c_leaves_nothing_whatever_it_interrupts(folder, stage):
    arguments = ["learn", "text.txt", "scratch/now", stage]
    with started([sys.executable, "-c", SLOW, *arguments], folder) as process:
        wait_until((folder / "scratch" / "now").exists, process)
        (folder / "scratch" / "now").unlink()
        os.killpg(process.pid, signal.SIGINT)
        done = finished(process, folder)
    assert_fails(done, "interrupted", code=130)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_removes_the_copy_of_standard_input(folder, name):
    number = getattr(signal, name)
    arguments = ["-c", SLOW, "learn", "-", "scratch/now", "encode"]
    command = ["sh", "-c", 'exec "$0" "$@" < text.txt', sys.executable, *arguments]
    with started(command, folder) as process:
        wait_until((folder / "scratch" / "now").exists, process)
        assert any((folder / "scratch").glob("taolu-stdin-*"))
        (folder / "scratch" / "now").unlink()
        os.kill(process.pid, number)
        done = finished(process, folder)
    assert_fails(done, "interrupted", code=128 + number)


def test_a_signal_that_is_ignored_stays_so():
    code = "import signal, taolu.cli.exits as e\nwith e.stopping(): signal.raise_signal(1)"
    command = ["sh", "-c", 'trap "" HUP; exec "$0" "$@"', sys.executable, "-c", code]
    assert subprocess.run(command, env=environment(), timeout=60).returncode == 0
