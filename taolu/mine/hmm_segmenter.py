"""Segmentation by a hidden Markov model: each character is alone, beginning, inside or ending.

The state of a character says its place in a word: S alone, B beginning, M inside, E ending. A word
is a path from B to E, or an S. The model needs no dictionary, so it finds words nobody has listed;
it knows little of any of them, so it is the weaker half of a pair (`mine.cut` is the other).
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from taolu.bits.codelength import CODE_POINT_BITS
from taolu.chain.forward import log_partition
from taolu.chain.viterbi import viterbi
from taolu.errors import CodebookError
from taolu.mine.borders import NEW, Cutter
from taolu.text.alphabet import code_points
from taolu.text.decompress import decompressed
from taolu.text.files import replacing
from taolu.text.normalize import ALNUM, OTHER, character_class, fold_width, to_nfc
from taolu.text.schemes import BMES, legality

# Of equally good states `viterbi` takes the first, and the order of the alphabet is the other way
# round: jieba takes the greatest letter, and with this order so do we.
STATES = "SMEB"
S, M, E, B = range(4)
NEVER = -3.14e100  # what jieba adds for a character that a state never says
_LEGAL = legality(STATES, BMES)


@dataclass(frozen=True)
class HMMSegmenter(Cutter):
    """Cuts text along the most probable states of its characters.

    `from_lines` learns it from segmented text, `from_counts` from the words of a codebook, `load`
    reads a file; the tables are natural logs.

    Args:
        characters: The characters it knows, each once.
        start: Of the first state, float64 (4,), in the order of `STATES`.
        transition: From row to column, float64 (4, 4).
        end: That a sentence ends after a state, float64 (4,); None where it is not known.
        emission: Of each character in each state, float64 (characters + 1, 4); the last row is
            that of any character it does not know.
        threads: Runs of characters are shared out over so many threads.

    Raises:
        ValueError: A table has another shape.

    Example:
        >>> lines = [["我", "爱", "北京"], ["北京", "很", "大"], ["我们", "爱", "你"]] * 5
        >>> HMMSegmenter.from_lines(lines).cut("我们很爱北京")
        ['我们', '很', '爱', '北京']
    """

    characters: str
    start: np.ndarray
    transition: np.ndarray
    end: np.ndarray | None
    emission: np.ndarray
    threads: int = 1
    table: np.ndarray = field(init=False, repr=False)
    classes: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shapes = {"start": (4,), "transition": (4, 4), "emission": (len(self.characters) + 1, 4)}
        for name, shape in shapes.items():
            if np.shape(getattr(self, name)) != shape:
                received = np.shape(getattr(self, name))
                raise ValueError(f"`{name}` must have the shape {shape}. Received: {received}.")
        table = np.full(0x110000, NEW, dtype=np.int32)
        known = [ord(character) for character in self.characters]
        table[known] = np.arange(len(known))
        # A digit or letter that was learned in one width is known in the other.
        for wide in range(0xFF01, 0xFF5F):
            half = ord(fold_width(chr(wide)))
            place = max(table[wide], table[half])
            table[wide], table[half] = (
                max(at, place) if at < 0 else at for at in (table[wide], table[half])
            )
        classes = [character_class(character) for character in self.characters]
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "classes", np.array([*classes, 0, 1, 2], dtype=np.uint8))

    @classmethod
    def from_lines(cls, lines: Iterable[Iterable[str]], threads: int = 1) -> "HMMSegmenter":
        """Learns from segmented text by counting.

        Every legal start, transition and end counts once more than it was seen. A character that a
        state never said has the share of those it said once, spread over all of Unicode.

        Args:
            lines: Words of each sentence.
            threads: For the segmenter.

        Raises:
            ValueError: There is no word, or a word is empty or holds whitespace.
        """
        words: list[str] = []
        stops = []
        for line in lines:
            words += [to_nfc(word) for word in line]
            stops.append(len(words))
        counts = _Counts.of(words, np.ones(len(words)))
        short = np.array([len(word) == 1 for word in words], dtype=np.int64)
        last, first = np.where(short, S, E), np.where(short, S, B)
        closing = np.unique(stops)
        closing = closing[closing > 0]
        inner = np.ones(len(words), dtype=bool)
        inner[0] = inner[closing[:-1]] = False
        np.add.at(counts.transition, (last[:-1][inner[1:]], first[inner]), 1)
        np.add.at(counts.end, last[closing - 1], 1)
        np.add.at(counts.start, first[np.append(0, closing[:-1])], 1)
        return cls(*counts.logs(), threads=threads)

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], sentences: int, threads: int = 1
    ) -> "HMMSegmenter":
        """Learns from words and how often they are used, as if they followed each other by chance.

        Args:
            counts: Uses of each word.
            sentences: How many sentences they come from.
            threads: For the segmenter.

        Raises:
            ValueError: There is no word, or a word is empty or holds whitespace.
        """
        words = [to_nfc(word) for word in counts]
        weights = np.fromiter(counts.values(), dtype=np.float64, count=len(words))
        found = _Counts.of(words, weights)
        short = np.array([len(word) == 1 for word in words])
        opens = np.zeros(4)
        opens[[S, B]] = weights[short].sum(), weights[~short].sum()
        total = opens.sum()
        found.start[:] = sentences * opens / total
        for state, uses in ((S, opens[S]), (E, opens[B])):
            # Of all words, so many are the last of a sentence.
            closing = uses * min(1.0, sentences / total)
            found.end[state] = closing
            found.transition[state] += (uses - closing) * opens / total
        return cls(*found.logs(), threads=threads)

    @classmethod
    def load(cls, path: str | Path, threads: int = 1) -> "HMMSegmenter":
        """Reads a model from JSON, compressed or not: our own, or that of jieba's `finalseg`.

        The keys `start`, `trans` and `emit` hold natural logs by the letters of `STATES`; what is
        left out is impossible. `end` and `unknown` are ours.

        Args:
            path: The file.
            threads: For the segmenter.

        Raises:
            CodebookError: The file is missing, is no JSON, or has no such tables.
        """
        path = Path(path)
        try:
            with path.open("rb") as raw:
                tables = json.loads(decompressed(path, raw).read())
            start = _column(tables["start"])
            transition = np.array([_column(tables["trans"].get(state, {})) for state in STATES])
            end = _column(tables["end"]) if "end" in tables else None
            characters = sorted({c for state in STATES for c in tables["emit"].get(state, {})})
            unknown = _column(tables.get("unknown", {}), NEVER)
            rows = [tables["emit"].get(state, {}) for state in STATES]
            emission = [
                [row.get(c, u) for row, u in zip(rows, unknown, strict=True)] for c in characters
            ]
            return cls(
                "".join(characters), start, transition, end, np.array([*emission, unknown]), threads
            )
        except OSError as error:
            raise CodebookError(f"{path}: {error.strerror or error}.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CodebookError(
                f"{path}: not a hidden Markov model of the states {STATES}: it must hold `start`, "
                f"`trans` and `emit` by state as JSON. ({type(error).__name__}: {error})"
            ) from error

    def save(self, path: str | Path) -> None:
        """Writes the model as JSON, whole or not at all; see `load`."""
        columns = self.emission[:-1].T
        tables = {
            "start": _named(self.start),
            "trans": {
                state: _named(row) for state, row in zip(STATES, self.transition, strict=True)
            },
            "emit": {
                state: {
                    character: value
                    for character, value in zip(self.characters, column.tolist(), strict=True)
                    if value > self.emission[-1, place]
                }
                for place, (state, column) in enumerate(zip(STATES, columns, strict=True))
            },
            "unknown": _named(self.emission[-1]),
        }
        if self.end is not None:
            tables["end"] = _named(self.end)
        with replacing(path) as file:
            json.dump(tables, file, ensure_ascii=False, indent=0)

    def on_threads(self, threads: int) -> "HMMSegmenter":
        """Returns the same segmenter, its work on large texts shared by so many threads."""
        return replace(self, threads=threads)

    def bits(self, sentence: str) -> float:
        """Returns the bits of a sentence, its end included; whitespace costs nothing.

        All states are summed over. Whitespace is a border no word crosses.

        Args:
            sentence: One sentence; it is read in NFC.

        Raises:
            ValueError: The model does not know where sentences end: it was made to cut only.
        """
        if self.end is None:
            raise ValueError(
                "`end` must be known to tell the bits of a sentence. Received: a model without it; "
                "`from_lines` learns one."
            )
        ids = self._ids(code_points(to_nfc(sentence)))
        kept = ids >= 0
        scores = self.emission[np.minimum(ids[kept], len(self.characters))]
        if not kept.all():
            apart = np.diff(np.flatnonzero(kept)) > 1
            scores[:-1][apart] += np.where(_LEGAL.end, 0.0, -np.inf)
            scores[1:][apart] += np.where(_LEGAL.start, 0.0, -np.inf)
        total = log_partition(scores, self.transition, start=self.start, end=self.end)
        return -total / math.log(2.0)

    def _fill(self, ids: np.ndarray, path: np.ndarray) -> None:
        path[:] = ids
        kinds = self.classes[np.maximum(ids, 0)]
        # Letters and digits that it has never seen stand apart, as signs do.
        known = ids < len(self.characters)
        inside = (ids >= 0) & (kinds != OTHER) & (known | (kinds != ALNUM))
        edges = np.flatnonzero(np.diff(inside, prepend=False, append=False))
        scores = self.emission[np.minimum(ids[inside], len(self.characters))]
        found = viterbi(
            scores,
            self.transition,
            start=self.start,
            end=np.where(_LEGAL.end, 0.0, -np.inf),
            lengths=edges[1::2] - edges[::2],
            threads=self.threads,
        )
        path[inside] = np.where(_LEGAL.end[found.path], ids[inside], -1)


@dataclass(frozen=True)
class _Counts:
    """Uses of starts, transitions, ends, and of characters in each state."""

    characters: str
    start: np.ndarray
    transition: np.ndarray
    end: np.ndarray
    emission: np.ndarray

    @classmethod
    def of(cls, words: list[str], weights: np.ndarray) -> "_Counts":
        """Counts what lies inside of words, each of which is used so often."""
        for word in words:
            if word.split() != [word]:
                raise ValueError(
                    f"`words` must not be empty and not hold whitespace. Received: {word!r}."
                )
        if not words:
            raise ValueError("`words` must hold at least one word. Received: none.")
        text = code_points("".join(words))
        places = np.zeros(0x110000, dtype=np.int32)
        places[text] = 1
        codes = np.flatnonzero(places)
        places[codes] = np.arange(codes.size)
        ids = places[text]
        lengths = np.array([len(word) for word in words])
        states = np.full(ids.size, M)
        last = np.cumsum(lengths) - 1
        states[last - lengths + 1] = B
        states[last] = np.where(lengths == 1, S, E)
        emission = np.zeros((codes.size, 4))
        transition = np.zeros((4, 4))
        uses = np.repeat(weights, lengths)
        inner = (states == M) | (states == E)
        np.add.at(transition, (states[:-1][inner[1:]], states[inner]), uses[inner])
        np.add.at(emission, (ids, states), uses)
        characters = "".join(map(chr, codes.tolist()))
        return cls(characters, np.zeros(4), transition, np.zeros(4), emission)

    def logs(self) -> tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Smoothed natural logs, in the order of the arguments of `HMMSegmenter`."""
        once = np.maximum(1, (self.emission == 1).sum(axis=0))
        totals = self.emission.sum(axis=0) + once
        behind = once / totals * 2.0**-CODE_POINT_BITS
        emission = np.vstack([self.emission / totals + behind, behind])
        start = self.start + _LEGAL.start
        end = self.end + _LEGAL.end
        transition = self.transition + _LEGAL.transitions
        leaving = transition.sum(axis=1) + end
        with np.errstate(divide="ignore"):
            tables = start / start.sum(), transition / leaving[:, None], end / leaving
            return (self.characters, *(np.log(table) for table in tables), np.log(emission))


def _column(values: Mapping[str, float], missing: float = -np.inf) -> np.ndarray:
    return np.array([float(values.get(state, missing)) for state in STATES])


def _named(values) -> dict[str, float]:
    """Values by state; what is impossible is left out, as JSON has no infinity."""
    pairs = zip(STATES, np.asarray(values).tolist(), strict=True)
    return {state: value for state, value in pairs if value > -np.inf}
