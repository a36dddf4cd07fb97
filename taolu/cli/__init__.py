"""The command line: parse, call the library, print; nothing else.

Every verb is a function of its own file. What goes wrong with the user's input ends in one line on
standard error and an exit code that is not 0.
"""

import errno
import os
import sys
import tempfile

import typer

from taolu.cli.cut import cut
from taolu.cli.guide import guide
from taolu.cli.learn import learn
from taolu.cli.score import score
from taolu.cli.show import show
from taolu.errors import TaoluError

INTERRUPTED = 130

app = typer.Typer(
    name="taolu",
    help="To learn is to describe the same text in fewer bits. 学习就是用更少的比特描述同样的文本。\n\n"
    "taolu learn novel.txt   mines a dictionary and shows what it saved;  "
    "taolu cut --with novel.taolu   segments text with it;  "
    "taolu guide   is the manual.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (learn, cut, show, score, guide):
    app.command()(verb)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        from taolu import __version__

        typer.echo(f"taolu {__version__}")
        raise typer.Exit


def main() -> None:
    """Runs the command line; turns expected errors into one line and an exit code."""
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        _fail("interrupted; nothing was written.", INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe has left (`taolu cut ... | head`): stop quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (TaoluError, ValueError, MemoryError) as error:
        _fail(str(error) or "out of memory; set a lower --memory.", 1)
    except OSError as error:
        if error.errno is None:
            raise
        place = error.filename or tempfile.gettempdir()
        hint = " (TMPDIR chooses another place)" if error.errno == errno.ENOSPC else ""
        _fail(f"{place}: {os.strerror(error.errno)}{hint}.", 1)


def _fail(message: str, code: int) -> None:
    line = " ".join(message.split())
    sys.stderr.write(f"taolu: {line}\n")
    sys.exit(code)
