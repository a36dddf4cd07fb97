"""`taolu guide`: the manual in the terminal."""

import re
import sys
from importlib.resources import files
from typing import Annotated

import typer

PLANNED = "状态：计划中"
_TITLE = re.compile(r"# (R\d\d) (.*)")


def guide(
    system: Annotated[
        str | None,
        typer.Argument(
            metavar="SYSTEM",
            help="A system, such as R07 or 新词; without, the table of all.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Read the manual: one page a system, in Chinese.

    \b
    Examples:
      taolu guide           the table of all systems
      taolu guide R07       one page, by number
      taolu guide CRF       one page, by a word of its title
      taolu guide R07 > r07.md
    """
    pages = _pages()
    found = pages if system is None else _find(pages, system)
    if not found:
        raise typer.BadParameter(
            f"no page for {system!r}; `taolu guide` lists all.", param_hint="SYSTEM"
        )
    if system is None or len(found) > 1:
        _print_list(found)
    else:
        _print_page(found[0])


def _pages() -> list[str]:
    folder = files("taolu") / "guide"
    pages = sorted((p for p in folder.iterdir() if p.name[-3:] == ".md"), key=lambda p: p.name)
    texts = [page.read_text(encoding="utf-8") for page in pages]
    return [text for text in texts if _TITLE.match(text)]


def _find(pages: list[str], system: str) -> list[str]:
    """Pages by number (R07, r7, 7), or else by what their title holds."""
    wanted = system.strip().lower()
    number = re.fullmatch(r"r?0*(\d{1,2})", wanted)
    if number:
        return [page for page in pages if page.startswith(f"# R{int(number[1]):02} ")]
    return [page for page in pages if wanted and wanted in page.split("\n", 1)[0].lower()]


def _print_list(pages: list[str]) -> None:
    from taolu.cli.tables import print_table

    rows = []
    for page in pages:
        name, title = _TITLE.match(page).groups()  # type: ignore[union-attr]
        rows.append((name, title, "planned" if PLANNED in page else "ready"))
    columns = ("system", "page", "status")
    print_table("taolu guide SYSTEM", columns, rows, left=columns)


def _print_page(page: str) -> None:
    from rich.markdown import Markdown

    from taolu.cli.tables import console

    if sys.stdout.isatty():
        console().print(Markdown(page))
    else:
        sys.stdout.write(page)
