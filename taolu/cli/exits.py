"""How the command line ends: one line on standard error, and an exit code that says why.

    0        done
    1        the input cannot be used, or the machine failed (disk, memory, a worker)
    2        the command was not understood
    128 + n  stopped by signal n: 130 is Ctrl-C, 143 is `kill`

A signal becomes an exception, so that temporary files and worker processes go on the way out.
"""

import contextlib
import errno
import functools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import typer

from taolu.errors import TaoluError

FAILED = 1
MISUSED = 2
REPEAT_SECONDS = 5.0  # a signal that comes again so soon is the same wish

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(BaseException):
    """A signal asks to stop. Not an `Exception`, so that nothing takes it for an error."""

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


def explained(verb: Callable[..., None]) -> Callable[..., None]:
    """Returns the verb, made to end in one line where its input or the machine fails."""

    @functools.wraps(verb)
    def run(*args, **options) -> None:
        try:
            verb(*args, **options)
            sys.stdout.flush()
        except (TaoluError, ValueError, MemoryError, OSError) as error:
            raise typer.Exit(_fail(error)) from error

    return run


def say(message: str) -> None:
    """Prints one line about what went wrong."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"taolu: {' '.join(message.split())}\n")
        sys.stderr.flush()


def _fail(error: Exception) -> int:
    broken = isinstance(error, OSError) and not _output_works()
    # The reader of a pipe may leave when it has seen enough (`| head`): nothing went wrong.
    if not isinstance(error, BrokenPipeError):
        say(_message(error, broken))
    return FAILED


def _message(error: Exception, broken: bool) -> str:
    if isinstance(error, MemoryError):
        reason = f" ({error})" if str(error) else ""
        return f"out of memory{reason}. Less is needed with a lower --memory or fewer --threads."
    if not isinstance(error, OSError) or error.errno is None:
        return str(error) or type(error).__name__
    if broken:
        return f"standard output: {os.strerror(error.errno)}."
    place = error.filename or tempfile.gettempdir()
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    hint = " Make room, or name another folder in the environment variable TMPDIR." if full else ""
    return f"{place}: {os.strerror(error.errno)}.{hint}"


def _output_works() -> bool:
    """Whether standard output takes what is left; if not, it is turned off for good."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.flush()
    except OSError:
        # Python would try once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
