"""Which templates pay: looked for in a text, fitted by parsing it, and weighed in several sizes."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from taolu.mine.template_bits import LONGEST_SLOT, GrammarBits, TemplateText
from taolu.mine.template_parse import TemplateParser
from taolu.mine.templates import (
    Part,
    Templates,
    check_template,
    linked_pairs,
    templates_in,
    write_template,
)
from taolu.text.encode import sentence_bounds

MIN_PMI = -1.0  # nats: what meets by chance alone can save a slot end too few to cost
LONGEST = 4  # words of a template
ROUNDS = 8
MOST_UNITS = 1 << 21  # words that templates are looked for in; of a longer text a sample
BLOCKS = 64

Tick = Callable[[], None]


def candidates_in(ids, words: Sequence[str], *, min_count: int, splits=None) -> Templates:
    """Returns templates that may pay: inner ones, of words that meet more often than by chance.

    Args:
        ids: Words, int32 (time,), a negative id after each sentence.
        words: The word of each id.
        min_count: Fewest sentences with a template.
        splits: True where a word goes on with what comes next, bool (time,); see `templates_in`.
    """
    pairs = linked_pairs(ids, len(words), min_count=min_count, min_pmi=MIN_PMI, min_probability=0)
    limits = {"min_count": min_count, "longest": LONGEST, "closed": 2}
    found = templates_in(ids, words, pairs, splits=splits, **limits)
    counts: dict[tuple[Part, ...], int] = {}
    for parts, count in zip(found.parts, found.count.tolist(), strict=True):
        # At its ends a slot says nothing: what stands there is said beside the template.
        core = parts[parts[0] is None : len(parts) - (parts[-1] is None)]
        if None in core:
            counts[core] = counts.get(core, 0) + count
    order = sorted(counts, key=lambda parts: -counts[parts])
    return Templates(tuple(order), np.array([counts[parts] for parts in order], dtype=np.int64))


def fit_grammar(
    ids,
    words: Sequence[str],
    candidates: Templates,
    *,
    rounds: int = ROUNDS,
    threads: int = 1,
) -> GrammarBits:
    """Returns the templates that pay on a text, with their uses (hard EM).

    Each round parses all sentences the cheapest way under the last counts, counts again, and drops
    the templates whose uses cost less said word by word.

    Args:
        ids: Words, int32 (time,), a negative id after each sentence.
        words: The word of each id.
        candidates: Templates that start and end with words; `count` is a guess of their uses.
        rounds: Most rounds.
        threads: Threads that share the text.

    Raises:
        ValueError: An argument is out of range, or a template starts or ends with a slot.

    Example:
        >>> from taolu.mine.templates import number_words
        >>> lines = [list("春江花月夜"), list("山水云天日")] * 40
        >>> pairs = [("虽", "但"), ("又", "且"), ("或", "者"), ("一", "就")]
        >>> lines += [[a, c, b] for c in "春江花月夜山水" for a, b in pairs] * 2
        >>> given = Templates(tuple((a, None, b) for a, b in pairs), np.full(4, 14))
        >>> found = fit_grammar(*number_words(lines), given).templates
        >>> list(zip(found.text, found.count.tolist()))[:3]
        [('虽 [X] 但', 14), ('又 [X] 且', 14), ('或 [X] 者', 14)]

    References:
        Su Jianlin, 最小熵原理（三）：“飞象过河”之句模版和语言结构, 2018.
        de Marcken, Unsupervised language acquisition, 1996.
    """
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1. Received: rounds={rounds}.")
    for parts in candidates.parts:
        check_template(parts)
        if parts[0] is None or parts[-1] is None:
            raise ValueError(
                f"`candidates` must start and end with words. Received: {write_template(parts)!r}."
            )
    text = TemplateText(ids, words, candidates.parts)
    uses = text.guess(np.asarray(candidates.count, dtype=np.int64))
    return text.fit(np.arange(len(candidates)), uses, rounds, threads)


def best_grammar(
    ids,
    words: Sequence[str],
    *,
    min_count: int,
    splits=None,
    threads: int = 1,
    tick: Tick | None = None,
) -> list[GrammarBits]:
    """Returns grammars that were tried on a text, the one that describes it shortest first.

    Tried are all templates that pay, the quarter of them that saves most, and a quarter of these.
    Nothing is returned where none pays. The first has fillers and examples, of a long text from the
    sample that templates were looked for in.

    Args:
        ids: Words, int32 (time,), a negative id after each sentence.
        words: The word of each id.
        min_count: Fewest sentences with a template.
        splits: True where a word goes on with what comes next, bool (time,); see `templates_in`.
        threads: Threads that share the text.
        tick: Called after each of up to five steps.
    """
    tell = tick or (lambda: None)
    ids = np.ascontiguousarray(ids, dtype=np.int32)
    parts, share = _sample(ids)
    some, within = (
        array if array is None or share == 1.0 else np.concatenate([array[p] for p in parts])
        for array in (ids, splits)
    )
    least = max(2, round(min_count / share))
    candidates = candidates_in(some, words, min_count=least, splits=within)
    tell()
    part = TemplateText(some, words, candidates.parts, share)
    guess = part.guess(candidates.count)
    fitted = part.fit(np.arange(len(candidates)), guess, ROUNDS, threads)
    tell()
    text = TemplateText(ids, words, fitted.templates.parts)
    rows, uses = np.arange(len(fitted.templates)), (fitted.templates.count * share).astype(np.int64)
    order = np.argsort(-text.savings(rows, uses), kind="stable")
    # What a sample says of a long text is settled already, and a pass takes long.
    rounds = 2 if share == 1.0 else 1
    tried: list[GrammarBits] = []
    for quarter in (1, 4, 16):
        if rows.size >= quarter:
            kept = np.sort(order[: rows.size // quarter])
            found = text.fit(kept, uses[kept], rounds, threads)
            tried += [found] if len(found.templates) else []
        tell()
    tried.sort(key=lambda one: one.total)
    return [text.shown(one, some) if place == 0 else one for place, one in enumerate(tried)]


def _sample(ids) -> tuple[list[slice], float]:
    """Whole sentences from all over a text, and how many times as long the text is."""
    times = -(-ids.size // MOST_UNITS)
    bounds = sentence_bounds(ids, BLOCKS * times) if times > 1 else [0, ids.size]
    parts = [slice(a, b) for a, b in zip(bounds[::times], bounds[1::times], strict=False)]
    return parts, ids.size / max(1, sum(part.stop - part.start for part in parts))


def grammar_parser(templates: Templates, uses: Mapping[str, int], sentences: int) -> TemplateParser:
    """Returns the parser of a codebook, whose costs are bits.

    Args:
        templates: The templates with their uses.
        uses: Uses of each word in the text, those in templates too.
        sentences: Sentences of the text.

    Raises:
        ValueError: The templates hold more of a word than the text does.
    """
    alone = Counter(uses)
    for parts, count in zip(templates.parts, templates.count.tolist(), strict=True):
        for word in filter(None, parts):
            alone[word] -= count
            if alone[word] < 0:
                raise ValueError(
                    "`uses` must cover the words of all templates. "
                    f"Received: {uses.get(word, 0)} uses of {word!r}."
                )
    slots = sum(p.count(None) * n for p, n in zip(templates.parts, templates.count, strict=True))
    total = math.log2(alone.total() + int(templates.count.sum()) + slots + sentences)
    return TemplateParser(
        templates,
        # A word that templates have taken over has the cost of one use.
        {word: total - math.log2(max(count, 1)) for word, count in alone.items()},
        costs=total - np.log2(templates.count),
        slot_end=total - math.log2(max(slots, 1)),
        beside=0.0,
        longest_slot=LONGEST_SLOT,
    )
