"""Bits per character of text a model has not seen.

Held-out text holds characters and words that the learned text did not, so probabilities are
smoothed: one symbol more, the escape, has the share of what was seen once, and a character behind
it costs log2(2**21) bits, enough for any Unicode code point. Every string has positive
probability, and the probabilities of all strings add up to one.

A sentence is a sequence of units closed by an end symbol. How it is cut is hidden, so the bits sum
over all cuts:

    p(s) = sum over cuts u1 ... uk of s of p(u1) ... p(uk) p(end)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from taolu.bits.codelength import CODE_POINT_BITS
from taolu.chain.lattice import path_sums
from taolu.chain.trie import Trie, build_trie
from taolu.text.corpus import Corpus
from taolu.text.normalize import to_nfc


@dataclass(frozen=True)
class UnigramModel:
    """Units drawn independently; the cut of a sentence into units is summed out.

    Args:
        counts: Uses of each unit in the text it was learned from.
        sentences: Uses of the end symbol.
        escape_bits: Bits of a character behind an escape.

    Example:
        >>> model = UnigramModel({"天气": 6, "好": 2}, sentences=4)
        >>> round(model.bits("天气好"), 2)  # 6 / 13 * 2 / 13 * 4 / 13, and rare escapes
        5.52
    """

    counts: Mapping[str, int]
    sentences: int
    escape_bits: float = CODE_POINT_BITS
    trie: Trie = field(init=False, repr=False)
    logs: np.ndarray = field(init=False, repr=False)
    end_bits: float = field(init=False, repr=False)
    _ids: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        once = sum(count == 1 for count in self.counts.values())
        escape = max(1, once)
        total = sum(self.counts.values()) + self.sentences + escape
        characters = sorted({character for unit in self.counts for character in unit})
        ids = {character: i for i, character in enumerate(characters)}
        units = [unit for unit in self.counts if len(unit) > 1]
        letters = [ids[character] for unit in units for character in unit]
        offsets = np.cumsum([0, *map(len, units)])
        # The last id stands for every character the model does not know.
        trie = build_trie(letters, offsets, len(characters) + 1)
        behind = escape / total * 2.0**-self.escape_bits
        single = [self.counts.get(c, 0) / total + behind for c in characters]
        logs = trie.costs(
            [math.log(self.counts[unit] / total) for unit in units],
            [math.log(p) for p in [*single, behind]],
        )
        logs[np.isposinf(logs)] = -np.inf
        set_ = object.__setattr__
        set_(self, "trie", trie)
        set_(self, "logs", logs)
        set_(self, "end_bits", math.log2(total / self.sentences))
        set_(self, "_ids", ids)

    def bits(self, sentence: str) -> float:
        """Returns the bits of a sentence, its end included; whitespace costs nothing.

        Args:
            sentence: One sentence; it is read in NFC. Whitespace is a border no unit crosses.
        """
        unknown = len(self._ids)
        text = to_nfc(sentence)
        ids = [-2 if c.isspace() else self._ids.get(c, unknown) for c in text]
        sums = path_sums(np.array(ids, dtype=np.int32), self.trie, self.logs)
        return self.end_bits - sums / math.log(2.0)


class TextModel(Protocol):
    """Anything that models text."""

    def bits(self, sentence: str) -> float:
        """Returns the bits of a sentence, its end included."""
        ...


@dataclass(frozen=True)
class Score:
    """How well a model describes a text it has not seen.

    Attributes:
        model: Its name.
        bits_per_character: Over characters without whitespace.
        characters: How many there are.
        sentences: How many sentences.
    """

    model: str
    bits_per_character: float
    characters: int
    sentences: int


def score_text(corpus: Corpus, models: Mapping[str, TextModel]) -> list[Score]:
    """Returns one score for each model, all on the same sentences.

    Args:
        corpus: The text.
        models: Models by name; anything with `bits(sentence)`.
    """
    bits = dict.fromkeys(models, 0.0)
    characters = sentences = 0
    for sentence in corpus.sentences():
        sentences += 1
        characters += sum(not c.isspace() for c in to_nfc(sentence))
        for name, model in models.items():
            bits[name] += model.bits(sentence)
    return [Score(n, b / max(1, characters), characters, sentences) for n, b in bits.items()]
