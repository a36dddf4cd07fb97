"""Sentence templates: words that keep each other company across gaps that anything may fill.

Two words are linked where they stand near each other more often than chance puts them there,

    p_ab > min_probability   and   ln(p_ab / (p_a p_b)) > min_pmi,

both sides counted in pairs: p_ab is the share of all pairs of the window, p_a and p_b those of its
first and second places. The links make every sentence a graph that runs from left to right. A path
along links is a template: what it steps over, and what it leaves before and behind, are slots.

A sentence of n words may have 2**n paths, so none are listed. Templates grow a word at a time, in
all sentences at once; paths of one sentence that are the same template and end at the same word are
one, and what is too rare stops growing, as nothing longer can be more frequent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from taolu._kernel import kernel
from taolu.count.pairs import PairCounts, count_pairs
from taolu.count.runs import runs

SLOT = "[X]"
END = -1
SKIP = -1  # a slot, among ids

WINDOW = 5
MIN_PROBABILITY = 1e-5
MIN_PMI = 2.0  # nats
LONGEST = 8
CLOSED = 0.9

# A word, or None where anything may stand.
Part = str | None
Key = tuple[int, ...]


@dataclass(frozen=True)
class Templates:
    """Templates, the most frequent first.

    Attributes:
        parts: The words and slots (None) of each.
        count: Sentences with it, each counted once; in a codebook, its uses on the cheapest
            parses. int64 (templates,).
        fillers: The words that fill each slot alone, the most frequent first; without a text to
            look at, nothing.
        examples: Words that a template and what fills it stand for, one example of each.

    Example:
        >>> lines = ["一 天 比 一 天 冷", "一 年 比 一 年 好", "一 回 比 一 回 多"]
        >>> found = mine_templates(map(str.split, lines), min_pmi=0, min_count=3)
        >>> found.text, found.count.tolist()
        (('一 [X] 比 一 [X]',), [3])
    """

    parts: tuple[tuple[Part, ...], ...]
    count: np.ndarray
    fillers: tuple[tuple[tuple[str, ...], ...], ...] = ()
    examples: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.parts)

    @cached_property
    def text(self) -> tuple[str, ...]:
        """Each template in one line, its words and slots between spaces."""
        return tuple(write_template(parts) for parts in self.parts)

    @cached_property
    def trivial(self) -> np.ndarray:
        """True where a template is a single word, bool (templates,)."""
        return np.array([sum(part is not None for part in one) < 2 for one in self.parts], bool)

    def select(self, rows) -> "Templates":
        """Returns these templates only, in this order (indices or a boolean mask)."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        parts, fillers, examples = (
            tuple(column[i] for i in rows.tolist()) if column else ()
            for column in (self.parts, self.fillers, self.examples)
        )
        return Templates(parts, self.count[rows], fillers, examples)


def write_template(parts: Sequence[Part]) -> str:
    """Returns a template in one line.

    Example:
        >>> write_template([None, "的", None, "是", "什么"])
        '[X] 的 [X] 是 什么'
    """
    # A word that looks like a slot is told apart by a backslash before it.
    return " ".join(SLOT if p is None else "\\" * (p.lstrip("\\") == SLOT) + p for p in parts)


def read_template(text: str) -> tuple[Part, ...]:
    """Returns the words and slots of a template in one line.

    Raises:
        ValueError: It has no word, or two slots in a row.

    Example:
        >>> read_template("[X] 的 [X]")
        (None, '的', None)
    """
    parts = tuple(
        None if p == SLOT else p[1:] if p.lstrip("\\") == SLOT else p for p in text.split()
    )
    check_template(parts)
    return parts


def check_template(parts: Sequence[Part]) -> None:
    """Makes sure words and slots make a template.

    Raises:
        ValueError: It has no word, or two slots in a row.
    """
    slots = [part is None for part in parts]
    if all(slots) or any(a and b for a, b in pairwise(slots)):
        raise ValueError(
            "A template needs a word, and a word between any two slots. "
            f"Received: {write_template(parts)!r}."
        )


def mine_templates(
    sentences: Iterable[Sequence[str]],
    *,
    window: int = WINDOW,
    min_probability: float = MIN_PROBABILITY,
    min_pmi: float = MIN_PMI,
    min_count: int = 5,
    longest: int = LONGEST,
    closed: float = CLOSED,
) -> Templates:
    """Returns the templates of sentences of words.

    A template is counted once in a sentence, along however many paths it goes through it. A row of
    one word, as in `------`, is no template with that word in its slot. Time and memory follow the
    number of links in the text, not that of paths.

    Args:
        sentences: The words of each sentence.
        window: Farthest that linked words stand apart; 1 links neighbours only, and templates are
            then runs of words, as new-word discovery joins them.
        min_probability: Least share of all pairs that a linked pair has.
        min_pmi: Least pointwise mutual information of a linked pair, nats.
        min_count: Fewest sentences with a template.
        longest: Most words of a template.
        closed: A template is dropped where one with a word more is in at least this share of its
            sentences, and so says more of them; above 1 keeps all.

    Raises:
        ValueError: An argument is out of range, or there are no words.

    References:
        Su Jianlin, 最小熵原理（三）：“飞象过河”之句模版和语言结构, 2018.
        Pei et al., PrefixSpan: mining sequential patterns by prefix-projected growth, 2001.
    """
    ids, words = number_words(sentences)
    if not words:
        raise ValueError("`sentences` must hold at least one word. Received: none.")
    pairs = linked_pairs(
        ids, len(words), window=window, min_probability=min_probability, min_pmi=min_pmi
    )
    return templates_in(
        ids, words, pairs, window=window, min_count=min_count, longest=longest, closed=closed
    )


def number_words(sentences: Iterable[Sequence[str]]) -> tuple[np.ndarray, list[str]]:
    """Returns sentences as ids, int32 (time,), -1 after each, and the words by id."""
    place: dict[str, int] = {}
    ids: list[int] = []
    for sentence in sentences:
        ids.extend(place.setdefault(word, len(place)) for word in sentence)
        ids.append(END)
    return np.array(ids, dtype=np.int32), list(place)


def linked_pairs(
    ids,
    size: int,
    *,
    window: int = WINDOW,
    min_probability: float = MIN_PROBABILITY,
    min_pmi: float = MIN_PMI,
    min_count: int = 1,
) -> PairCounts:
    """Returns the pairs of words that belong together, though other words may stand between.

    Args:
        ids: Words, int32 (time,); a negative id ends a sentence.
        size: Number of words.
        window: Farthest that they stand apart.
        min_probability: Least share of all pairs.
        min_pmi: Least pointwise mutual information, nats.
        min_count: Fewest occurrences.

    Raises:
        ValueError: An argument is out of range.
    """
    if not 0 <= min_probability < 1:
        raise ValueError(
            f"`min_probability` must lie in 0 to 1. Received: min_probability={min_probability}."
        )
    if not np.isfinite(min_pmi):
        raise ValueError(f"`min_pmi` must be finite. Received: min_pmi={min_pmi}.")
    pairs = count_pairs(ids, size, window=window)
    left = np.bincount(pairs.first, pairs.count, size)
    right = np.bincount(pairs.second, pairs.count, size)
    chance = np.log(left[pairs.first]) + np.log(right[pairs.second]) - np.log(max(1, pairs.total))
    some = np.log(pairs.count) - chance > min_pmi
    some &= (pairs.count > min_probability * pairs.total) & (pairs.count >= min_count)
    return PairCounts(pairs.first[some], pairs.second[some], pairs.count[some], pairs.total)


def templates_in(
    ids,
    words: Sequence[str],
    pairs: PairCounts,
    *,
    window: int = WINDOW,
    min_count: int = 5,
    longest: int = LONGEST,
    closed: float = CLOSED,
    splits=None,
) -> Templates:
    """Returns the templates along these links in a text of ids.

    Args:
        ids: Words, int32 (time,); a negative id ends a sentence.
        words: The word of each id.
        pairs: Linked pairs, by first and then second word; see `linked_pairs`.
        window, min_count, longest, closed: See `mine_templates`.
        splits: True where a word goes on with what comes next, bool (time,): no link starts or ends
            inside of such a word, spelled in several; by default there is none.

    Raises:
        ValueError: An argument is out of range.
    """
    for name, value in (("min_count", min_count), ("longest", longest)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    ids = np.ascontiguousarray(ids, dtype=np.int32)
    keys = pairs.first.astype(np.int64) * len(words) + pairs.second
    links = np.zeros((ids.size, window), dtype=np.bool_)
    whole = np.zeros(ids.size, dtype=np.bool_) if splits is None else splits
    _find_links(ids, keys, len(words), whole, links)
    found = _grow(ids, len(words), links, min_count, longest)
    longer = _longer(found) if closed <= 1 else {}
    kept = [key for key, count in found.items() if longer.get(key, 0) < closed * count]
    kept.sort(key=lambda key: (-found[key], -len(key), key))
    parts = tuple(tuple(None if i < 0 else words[i] for i in key) for key in kept)
    return Templates(parts, np.array([found[key] for key in kept], dtype=np.int64))


def _grow(ids, size, links, min_count, longest) -> dict[Key, int]:
    """Sentences with each template that is frequent.

    A level is a table of occurrences, one row for each template and word it ends at, that has a
    name for each way to go on: which template, whether it steps over words, and the word it meets.
    """
    sentence = np.cumsum(ids < 0, dtype=np.int32)
    closes = np.append(ids[1:] < 0, True)
    found: dict[Key, int] = {}
    places = np.flatnonzero(ids >= 0)
    gaps = np.append(True, ids[:-1] < 0)[places] ^ True
    keys: list[Key] = [()]
    ways = gaps * np.int64(size) + ids[places]
    for _ in range(longest):
        ways, places, names = _frequent(ways, places, sentence, min_count)
        before, last = np.divmod(names, size)
        keys = [
            (*keys[way >> 1], *([SKIP] * (way & 1)), word)
            for way, word in zip(before.tolist(), last.tolist(), strict=True)
        ]
        for closing, tail in ((True, ()), (False, (SKIP,))):
            some = closes[places] == closing
            counts = _sentences(ways[some], sentence[places[some]], len(keys))
            for i in np.flatnonzero(counts >= min_count).tolist():
                found[keys[i] + tail] = int(counts[i])
        rows, steps = np.nonzero(links[places])
        places = places[rows] + steps + 1
        ways = (ways[rows] * 2 + (steps > 0)) * size + ids[places]
    return found


def _frequent(ways, places, sentence, least) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Occurrences of what enough sentences have, numbered anew, each once; and the old numbers."""
    if int(ways.max(initial=0)) < (1 << 62) // sentence.size:
        # One sort of whole numbers in place of two of their order.
        keys = ways * sentence.size + places
        keys.sort()
        ways, places = np.divmod(runs(keys)[0], sentence.size)
    else:
        order = np.lexsort((places, ways))
        ways, places = ways[order], places[order]
        first = np.append(True, (np.diff(ways) != 0) | (np.diff(places) != 0))[: ways.size]
        ways, places = ways[first], places[first]
    new = np.append(True, ways[1:] != ways[:-1])[: ways.size]
    names, numbers = ways[new], np.cumsum(new) - 1
    some = _sentences(numbers, sentence[places], names.size) >= least
    kept = some[numbers]
    return (np.cumsum(some) - 1)[numbers[kept]], places[kept], names[some]


def _sentences(numbers, sentence, size) -> np.ndarray:
    """Different sentences of each number; rows are sorted by number and then sentence."""
    new = np.append(True, (np.diff(numbers) != 0) | (np.diff(sentence) != 0))[: numbers.size]
    return np.bincount(numbers[new], minlength=size)


def _longer(found: dict[Key, int]) -> dict[Key, int]:
    """The most sentences of a template with one word more, where one is frequent."""
    longer: dict[Key, int] = {}
    for key, count in found.items():
        for at, part in enumerate(key):
            if part != SKIP and len(key) > 1:
                # What the word leaves is a slot, with the slots beside it.
                left, right = key[:at], key[at + 1 :]
                left = left[: len(left) - (left[-1:] == (SKIP,))]
                right = right[right[:1] == (SKIP,) :]
                shorter = (*left, SKIP, *right)
                if len(shorter) > 1:
                    longer[shorter] = max(longer.get(shorter, 0), count)
    return longer


@kernel
def _find_links(ids, keys, size, splits, links):
    for t in range(ids.size):
        if ids[t] < 0 or splits[t]:
            continue
        alike = True
        for d in range(links.shape[1]):
            if t + d + 1 >= ids.size or ids[t + d + 1] < 0:
                break
            # A row of dashes is no template with a dash in its slot.
            alike &= ids[t + d] == ids[t]
            if splits[t + d] or (d > 0 and alike and ids[t + d + 1] == ids[t]):
                continue
            key = np.int64(ids[t]) * size + ids[t + d + 1]
            at = np.searchsorted(keys, key)
            links[t, d] = at < keys.size and keys[at] == key
