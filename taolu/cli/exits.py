"""How the command line ends: one line on standard error, and an exit code that says why.

    0        done
    1        the input cannot be used, or the machine failed (disk, memory, a worker)
    2        the command was not understood
    128 + n  stopped by signal n: 130 is Ctrl-C, 143 is `kill`

A signal becomes an exception, so that temporary files and worker processes go on the way out.
"""

import contextlib
import errno
import io
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taolu.errors import WorkerError

OUTPUT = "standard output"
FAILED = 1
MISUSED = 2
REPEAT_SECONDS = 5.0  # a signal that comes again so soon is the same wish

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(BaseException):
    """A signal asks to stop. Not an `Exception`, so that nothing takes it for an error.

    Attributes:
        number: The signal.
        hint: What to tell the user; who leaves something behind says so.
    """

    hint = "interrupted; what was unfinished is removed."

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Raises `Stopped` where Ctrl-C, `kill` or a closed terminal would end the process.

    Signals that are ignored, as under `nohup`, stay so.
    """
    last = -REPEAT_SECONDS

    def stop(number: int, frame: object) -> None:
        nonlocal last
        # Whoever presses twice must not interrupt the cleaning up.
        if time.monotonic() - last >= REPEAT_SECONDS:
            last = time.monotonic()
            raise Stopped(number)

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number in numbers if before[number] != signal.SIG_IGN]
    try:
        for number in heard:
            signal.signal(number, stop)
        yield
    except Stopped:
        before = dict.fromkeys(heard, signal.SIG_IGN)  # nothing is left to do but to end
        raise
    finally:
        for number in heard:
            signal.signal(number, before[number])


def say(message: str) -> None:
    """Prints one line about what went wrong."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"taolu: {' '.join(message.split())}\n")
        sys.stderr.flush()


def fail(error: Exception) -> int:
    """Explains an error in one line and returns the exit code."""
    # The reader of a pipe may leave when it has seen enough (`| head`): nothing went wrong.
    if not isinstance(error, BrokenPipeError):
        say(_message(error))
    if isinstance(error, OSError) and error.filename == OUTPUT:
        # Python would try to write once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def _message(error: Exception) -> str:
    if isinstance(error, MemoryError):
        reason = f" ({error})" if str(error) else ""
        return f"out of memory{reason}. Less is needed with a lower --memory or fewer --threads."
    if isinstance(error, WorkerError):
        return (
            "a worker process died before it was done: it was killed, or the machine ran out of "
            "memory. Try again with fewer --workers or a lower --memory."
        )
    if not isinstance(error, OSError) or error.errno is None:
        return str(error) or type(error).__name__
    place = error.filename or tempfile.gettempdir()
    full = place != OUTPUT and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    hint = " Make room, or name another folder in the environment variable TMPDIR." if full else ""
    return f"{place}: {os.strerror(error.errno)}.{hint}"


def prepare_streams() -> None:
    """Makes the standard streams usable whatever the caller left of them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # Closed by the caller (`<&-`): nothing comes in, nothing goes out.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    buffer = getattr(sys.stdout, "buffer", None)
    # Under PYTHONUNBUFFERED there is no buffer; a console of Windows is no file.
    if type(getattr(buffer, "raw", buffer)) is io.FileIO:
        lines = sys.stdout.isatty()
        output = io.BufferedWriter(_Output(sys.stdout.fileno(), "wb", closefd=False))
        # A terminal that cannot show a character shows a mark in its place.
        sys.stdout = io.TextIOWrapper(output, sys.stdout.encoding, "replace", line_buffering=lines)


class _Output(io.FileIO):
    """Standard output that says so when it fails."""

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise
