"""What the page of a codebook is told of its templates, and of sentences put together from them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taolu.mine.codebook import Codebook
    from taolu.mine.template_parse import Parse
    from taolu.mine.templates import Part

TEMPLATES_SHOWN = 2000
EXAMPLES_SHOWN = 6  # templates in templates, beside the sentences of the passage


def describe_templates(book: "Codebook") -> dict[str, Any] | None:
    """Returns the most used templates as columns, and how many there are; None without any."""
    found = book.templates
    if found is None or not len(found):
        return None
    few = found.select(range(min(len(found), TEMPLATES_SHOWN)))
    fillers = few.fillers or ((),) * len(few)
    examples = few.examples or ((),) * len(few)
    return {
        "total": len(found),
        "parts": few.parts,
        "count": few.count.tolist(),
        "fillers": fillers,
        "example": [split_example(*pair) for pair in zip(few.parts, examples, strict=True)],
    }


def split_example(parts: Sequence["Part"], words: Sequence[str]) -> list[list[str]] | None:
    """Returns the words of an example that fill each slot, or None where it is no example.

    Of several ways the one whose first slot is the shortest, then the second, and so on.

    Example:
        >>> split_example(("又", None, "又", None), ["又", "高", "又", "又", "大"])
        [['高'], ['又', '大']]
    """
    return next(_ways(tuple(parts), tuple(words)), None)


def _ways(parts, words) -> Iterator[list[list[str]]]:
    if not parts:
        if not words:
            yield []
    elif parts[0] is not None:
        if words[:1] == parts[:1]:
            yield from _ways(parts[1:], words[1:])
    else:
        for size in range(1, len(words) - len(parts) + 2):
            for rest in _ways(parts[1:], words[size:]):
                yield [list(words[:size]), *rest]


def describe_parses(book: "Codebook") -> dict[str, Any] | None:
    """Returns the passage put together from templates, and examples of templates in templates.

    A row is a list of items; an item is a word, or a template: its parts, its uses, and the row in
    each slot. Sentences without a template are only counted.
    """
    found = book.templates
    if found is None or not len(found):
        return None
    uses = dict(zip(found.parts, found.count.tolist(), strict=True))
    sentences = [book.parser.parse(words) for words in book.passage if words]
    some = [one for one in sentences if _templates_in(one)]
    texts = (words for words in found.examples[:TEMPLATES_SHOWN] if words)
    nested = [one for one in map(book.parser.parse, texts) if _templates_in(one) > 1]
    nested = [one for one in nested if 2 * sum(map(_has_letter, one.words)) >= len(one.words)]
    nested.sort(key=lambda one: (-_templates_in(one), len(one.words)))
    return {
        "sentences": len(sentences),
        "passage": [_row(one, uses) for one in some],
        "examples": [_row(one, uses) for one in nested[:EXAMPLES_SHOWN]],
    }


def _templates_in(parse: "Parse") -> int:
    return _is_template(parse) + sum(map(_templates_in, parse.inside))


def _has_letter(word: str) -> bool:
    return any(map(str.isalpha, word))


def _is_template(parse: "Parse") -> bool:
    return parse.parts not in ((), parse.words[:1])


def _row(parse: "Parse", uses) -> list[Any]:
    return [_item(one, uses) for one in (parse.inside if not parse.parts else (parse,))]


def _item(parse: "Parse", uses) -> str | dict[str, Any]:
    if not _is_template(parse):
        return parse.words[0]
    inside = [_row(one, uses) for one in parse.inside]
    return {"parts": parse.parts, "uses": uses[parse.parts], "inside": inside}
