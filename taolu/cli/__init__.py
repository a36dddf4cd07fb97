"""The command line: parse, call the library, print; nothing else.

Every verb is a function of its own file, and loads what it needs when it is called, so that help
comes at once.
"""

import sys

import typer

from taolu.cli.cut import cut
from taolu.cli.exits import MISUSED, Stopped, fail, prepare_streams, say, stopping
from taolu.cli.group import group
from taolu.cli.guide import guide
from taolu.cli.learn import learn
from taolu.cli.predict import predict
from taolu.cli.score import score
from taolu.cli.show import show
from taolu.cli.train import train
from taolu.errors import TaoluError

app = typer.Typer(
    name="taolu", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
for verb in (learn, cut, group, show, score, predict, guide):
    app.command()(verb)
app.add_typer(train, name="train")


@app.callback(invoke_without_command=True)
def _taolu(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """To learn is to describe the same text in fewer bits. 学习就是用更少的比特描述同样的文本。

    \b
    taolu learn novel.txt                   a dictionary out of raw text, and what it saves
    taolu cut other.txt --with novel.taolu  that text, cut into words
    taolu show novel.taolu --html           the report, in the browser
    taolu group links.tsv                   the modules of any network
    taolu train tag train.bio -o ner.model  a tagger out of labelled text
    taolu predict ner.model other.txt       that text, its entities marked
    taolu guide                             the manual
    """
    if version:
        from taolu import __version__

        typer.echo(f"taolu {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Runs the command line: what goes wrong ends in one line and an exit code."""
    prepare_streams()
    try:
        with stopping():
            code = app(prog_name="taolu", standalone_mode=False)
            sys.stdout.flush()
    except Stopped as stop:
        say(stop.hint)
        code = 128 + stop.number
    except (TaoluError, ValueError, MemoryError, OSError) as error:
        code = fail(error)
    except Exception as error:
        # What is wrong with the command itself; Typer's versions share no public class for it.
        if not hasattr(error, "format_message"):
            raise
        code = _misused(error)
    sys.exit(code or 0)


def _misused(error) -> int:
    verb = error.ctx.command_path if getattr(error, "ctx", None) else "taolu"
    message = error.format_message()
    say(f"{message}{'' if message[-1:] in '.?!' else '.'} `{verb} --help` shows how.")
    return MISUSED
