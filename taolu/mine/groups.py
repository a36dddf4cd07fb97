"""Communities of words: what a walk over words, or over similar words, stays inside of.

Two networks of words, and the same search on both (`graph.infomap`), which finds how many groups
and levels there are by itself:

    transitions   a walker reads the text; a group is words that are used with each other
    vectors       a walker goes to words of similar vectors; a group is words of the same kind
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from taolu.graph.infomap import Partition, infomap
from taolu.mine.class_bigram import GroupBits, class_bigram_bits
from taolu.mine.similar import nearest
from taolu.mine.transitions import MOST_WORDS, Transitions, count_transitions
from taolu.mine.vectors import context_vectors, mutual_information

NEIGHBOURS = 50
LEAST_SIMILARITY = 0.6


@dataclass(frozen=True)
class WordGroups:
    """Words in groups, and groups in groups.

    Iterating gives the words of each group, the most visited group and word first.

    Attributes:
        words: The words.
        paths: The group of each word on each level, the top one first, int32 (words, levels);
            numbered in the group above, the most visited first; -1 where there is none below.
        flow: How often each word is visited, float64 (words,).
        codelength: Bits per step of the walk that the groups were found by.
        level: How many levels count, from the top: 0 puts all words in one group.

    Example:
        >>> vectors = [[1.0, 0.1], [1.0, 0.0], [0.0, 1.0], [0.1, 1.0]]
        >>> found = groups_from_vectors(["桃", "李", "江", "河"], vectors)
        >>> list(found), found.group_of("河")
        ([('桃', '李'), ('江', '河')], ('江', '河'))
    """

    words: tuple[str, ...]
    paths: np.ndarray
    flow: np.ndarray
    codelength: float
    level: int

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return (tuple(self.words[i] for i in rows) for rows in self._members)

    def __contains__(self, word: object) -> bool:
        return word in self._places

    @property
    def levels(self) -> int:
        """How many levels of groups there are."""
        return self.paths.shape[1]

    @cached_property
    def numbers(self) -> np.ndarray:
        """The group of each word, int32 (words,), the most visited group first."""
        if not self.level:
            return np.zeros(len(self.words), dtype=np.int32)
        path = self.paths[:, : self.level]
        found, first = np.unique(path, axis=0, return_inverse=True)
        visits = np.bincount(first.ravel(), self.flow, len(found))
        place = np.empty(len(found), dtype=np.int32)
        place[np.argsort(-visits, kind="stable")] = np.arange(len(found))
        return place[first.ravel()]

    @cached_property
    def flows(self) -> np.ndarray:
        """How often each group is visited, float64 (groups,)."""
        return np.bincount(self.numbers, self.flow, len(self))

    def group_of(self, word: str) -> tuple[str, ...]:
        """Returns the words of a word's group, itself among them.

        Raises:
            KeyError: The word is in no group.
        """
        rows = self._members[self.numbers[self._places[word]]]
        return tuple(self.words[i] for i in rows)

    def at_level(self, level: int) -> "WordGroups":
        """Returns the same words with the groups of another level.

        Raises:
            ValueError: There is no such level.
        """
        if not 0 <= level <= self.levels:
            raise ValueError(f"`level` must lie in 0 to {self.levels}. Received: level={level}.")
        return replace(self, level=level)

    def visited(self, flow) -> "WordGroups":
        """Returns the same groups, numbered by how often a reader visits their words.

        Args:
            flow: Visits of each word, (words,); divided by their sum.
        """
        flow = np.asarray(flow, dtype=np.float64)
        flow = flow / flow.sum()
        return replace(self, flow=flow, paths=_numbered(self.paths, flow))

    def in_order(self) -> "WordGroups":
        """Returns the same groups, their words in the order of paths, the most visited first."""
        levels = [self.paths[:, level] for level in reversed(range(self.levels))]
        order = np.lexsort((-self.flow, *levels))
        words = tuple(self.words[i] for i in order)
        return replace(self, words=words, paths=self.paths[order], flow=self.flow[order])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def _members(self) -> list[np.ndarray]:
        order = np.lexsort((np.arange(len(self.words)), -self.flow, self.numbers))
        return np.split(order, np.flatnonzero(np.diff(self.numbers[order])) + 1)


def groups_from_transitions(
    sentences: Iterable[Sequence[str]] | Transitions,
    *,
    most_words: int = MOST_WORDS,
    two_level: bool = False,
    trials: int = 1,
    rng=0,
    threads: int = 1,
) -> WordGroups:
    """Returns groups of words that follow each other more often than by chance.

    The link from a to b weighs `n_ab * max(0, log2(n_ab * N / (n_a * n_b)))`, what knowing a saves
    in saying b. Bare counts would link every word to the few most used ones, and nearly all words
    would be one group.

    Args:
        sentences: The words of each sentence, or their `Transitions`.
        most_words: Words told apart, the most used ones; the others are in no group.
        two_level: Whether groups may have no groups.
        trials: Searches; the shortest description is kept.
        rng: Seed, or NumPy generator.
        threads: Trials that run side by side.

    Raises:
        ValueError: There are no words, or an argument is out of range.

    Example:
        >>> from itertools import permutations
        >>> lines = [*permutations("桃李杏梨", 3), *permutations("江河湖", 3)]
        >>> [sorted(group) for group in groups_from_transitions(lines)]
        [['李', '杏', '桃', '梨'], ['江', '河', '湖']]

    References:
        Rosvall, Bergstrom, Maps of random walks on complex networks reveal community structure,
        2008.
    """
    found = sentences
    if not isinstance(found, Transitions):
        found = count_transitions(found, most_words=most_words)
    size = len(found.words)
    inner = found.counts[:size, :size].tocoo()
    weights = inner.data * np.maximum(0.0, mutual_information(inner))
    some = weights > 0
    links = inner.coords[0][some], inner.coords[1][some], weights[some]
    options = {"two_level": two_level, "trials": trials, "rng": rng, "threads": threads}
    return _grouped(found.words, links, options)


def groups_from_vectors(
    words: Sequence[str],
    vectors,
    *,
    neighbours: int = NEIGHBOURS,
    least_similarity: float = LEAST_SIMILARITY,
    two_level: bool = False,
    trials: int = 1,
    rng=0,
    threads: int = 1,
) -> WordGroups:
    """Returns groups of words whose vectors point nearly the same way.

    Every word is linked to its nearest ones, with their cosines as weights, and the groups are what
    a walker along these links stays inside of. A word like no other is a group by itself. All pairs
    of words are compared, a block at a time.

    Args:
        words: The words, each once.
        vectors: A vector for each word, (words, width).
        neighbours: Most links from a word.
        least_similarity: Smallest cosine of a link, above 0 and at most 1.
        two_level: Whether groups may have no groups.
        trials: Searches; the shortest description is kept.
        rng: Seed, or NumPy generator.
        threads: Trials that run side by side.

    Raises:
        ValueError: Words and vectors do not fit, or an argument is out of range.

    Example:
        >>> vectors = [[3.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 2.0]]
        >>> list(groups_from_vectors(["甲", "子", "乙", "丑"], vectors))
        [('子', '丑'), ('甲', '乙')]

    References:
        Su Jianlin, 最小熵原理（五）：“层层递进”之社区发现与聚类, spaces.ac.cn/archives/7006, 2019.
    """
    words = tuple(words)
    if len(words) != len(vectors) or not words:
        raise ValueError(
            "`words` and `vectors` must be of one length, at least 1. "
            f"Received: {len(words)} words, {len(vectors)} vectors."
        )
    if len(set(words)) < len(words):
        twice = next(word for i, word in enumerate(words) if word in words[:i])
        raise ValueError(f"`words` must hold each word once. Received: {twice!r} twice.")
    links = nearest(vectors, neighbours=neighbours, least_similarity=least_similarity)
    options = {"two_level": two_level, "trials": trials, "rng": rng, "threads": threads}
    return _grouped(words, links, options)


def best_groups(
    transitions: Transitions, vectors=None, *, rng=0
) -> tuple[WordGroups, GroupBits, list[GroupBits]]:
    """Returns the groups that describe a text shortest, what it then costs, and the others' costs.

    Groups are those of similar vectors, on every level of the tree; all words in one group is a
    level too. The one with the smallest total is returned.

    Args:
        transitions: The text.
        vectors: A vector for each of its words; by default of the company they keep.
        rng: Seed, or NumPy generator.
    """
    rng = np.random.default_rng(rng)
    if vectors is None:
        vectors = context_vectors(transitions.counts, len(transitions.words), rng=rng)
    groups = groups_from_vectors(transitions.words, vectors, rng=rng).visited(transitions.uses)
    tried = [groups.at_level(level) for level in range(groups.levels + 1)]
    costs = [class_bigram_bits(transitions, one.numbers) for one in tried]
    best = min(range(len(tried)), key=lambda level: costs[level].total)
    return tried[best].in_order(), costs.pop(best), costs


def _grouped(words, links, options) -> WordGroups:
    if not links[0].size:
        alone = np.arange(len(words), dtype=np.int32)[:, None]
        return WordGroups(words, alone, np.zeros(len(words)), 0.0, 1)
    found: Partition = infomap(links, directed=True, nodes=len(words), **options)
    paths = found.paths.copy()
    # No walker comes to a word without links, so it costs nothing wherever it is put.
    alone = np.setdiff1d(np.arange(len(words)), np.concatenate(links[:2]))
    paths[alone, 0] = paths[:, 0].max() + 1 + np.arange(alone.size)
    paths[alone, 1:] = -1
    return WordGroups(words, paths, found.rates, found.codelength, paths.shape[1])


def _numbered(paths, flow) -> np.ndarray:
    """Numbers groups in the group above, the most visited first; of equal ones the first met."""
    numbered = np.empty_like(paths)
    above = np.zeros(len(paths), dtype=np.int64)
    for level in range(paths.shape[1]):
        some = paths[:, level] >= 0
        _, first, own = np.unique(
            paths[:, : level + 1], axis=0, return_index=True, return_inverse=True
        )
        own = own.ravel()
        parents, visits = above[first], np.bincount(own, flow, first.size)
        order = np.lexsort((first, -visits, ~some[first], parents))
        place = np.empty(first.size, dtype=np.int64)
        place[order] = np.arange(first.size) - np.searchsorted(parents[order], parents[order])
        numbered[:, level] = np.where(some, place[own], -1)
        above = own
    return numbered
