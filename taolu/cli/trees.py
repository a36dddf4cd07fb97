"""How a sentence is put together, drawn as a tree in the terminal."""

from typing import TYPE_CHECKING

from rich.text import Text
from rich.tree import Tree

from taolu.cli.tables import console
from taolu.mine.templates import SLOT

if TYPE_CHECKING:
    from taolu.mine.template_parse import Parse


def print_parse(parse: "Parse", title: str) -> None:
    """Prints a parse below its title.

    A template is a branch: its words, and a mark for each slot, `[X]` or, where there are several,
    `[1]`, `[2]` and so on; what fills the slot stands below it. Words without a template stand
    together.
    """
    tree = Tree(Text(title, style="bold"), guide_style="dim")
    _add_row(tree, _items(parse))
    console().print(tree)


def _items(parse: "Parse") -> tuple["Parse", ...]:
    return parse.inside if not parse.parts else (parse,)


def _add_row(tree: Tree, items: tuple["Parse", ...]) -> None:
    words: list[str] = []
    for item in items:
        if item.parts == item.words:
            words += item.words
            continue
        if words:
            tree.add(Text(" ".join(words)))
        words = []
        branch = tree.add(_label(item))
        for slot, filler in enumerate(item.inside, 1):
            inside = _items(filler)
            if len(item.inside) == 1:
                _add_row(branch, inside)
            elif all(one.parts == one.words for one in inside):
                branch.add(Text.assemble((f"[{slot}]", "cyan"), " ", " ".join(filler.words)))
            else:
                _add_row(branch.add(Text(f"[{slot}]", style="cyan")), inside)
    if words:
        tree.add(Text(" ".join(words)))


def _label(item: "Parse") -> Text:
    many = len(item.inside) > 1
    label, slot = Text(), 0
    for place, part in enumerate(item.parts):
        slot += part is None
        mark = f"[{slot}]" if many else SLOT
        label.append(" " * (place > 0))
        label.append(mark if part is None else part, style="cyan" if part is None else "bold green")
    return label
