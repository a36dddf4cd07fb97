"""`taolu guide`: the manual in the terminal."""

import re
from importlib.resources import files
from typing import Annotated

import typer

from taolu.cli.tables import console

PLANNED = "状态：计划中"


def guide(
    system: Annotated[
        str | None, typer.Argument(help="A system, such as R05 or 新词; without, the table of all 35.")
    ] = None,
) -> None:
    """Read the manual: one page a system, in Chinese.

    Example: taolu guide R19
    """
    from rich.markdown import Markdown
    from rich.table import Table

    pages = sorted(
        (page for page in (files("taolu") / "guide").iterdir() if page.name[-3:] == ".md"),
        key=lambda page: page.name,
    )
    texts = [page.read_text(encoding="utf-8") for page in pages]
    if system is None:
        table = Table(title="taolu guide SYSTEM", title_justify="left")
        for column in ("system", "page", "status"):
            table.add_column(column)
        for text in texts:
            name, title = re.match(r"# (R\d\d) (.*)", text).groups()  # type: ignore[union-attr]
            table.add_row(name, title, "planned" if PLANNED in text else "ready")
        console().print(table)
        return
    wanted = system.strip().lower()
    found = [text for text in texts if text[2:5].lower() == wanted]
    found = found or [text for text in texts if wanted in text.split("\n", 1)[0].lower()]
    if not found:
        raise typer.BadParameter(
            f"no page for {system!r}. `taolu guide` lists all.", param_hint="SYSTEM"
        )
    console().print(Markdown(found[0]))
