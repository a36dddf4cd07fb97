"""Characters of a text as the ids that a tagging network reads.

Ids count from 0 = padding and 1 = unknown. A pair of characters stands at its second one; the first
character of a text is the second of a pair with nothing. With a codebook, every character also
knows the words that it may be part of.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taolu.mine.cut import Segmenter
from taolu.mine.match import COLUMNS, match_words
from taolu.nn.models.tag_network import TagInputs
from taolu.text.alphabet import Alphabet, code_points

PADDING, UNKNOWN, FIRST_ID = 0, 1, 2
MOST_PAIRS = 400_000
LEAST_USES = 2  # of a pair that gets an id of its own


@dataclass(frozen=True)
class TagFeatures:
    """What is known about characters, and how texts become ids.

    Attributes:
        characters: The known characters; ids follow their order, from 2 on.
        pairs: Code of each known pair, rising, int64 (pairs,): ids of its two characters in one.
        uses: How often the training text has each character, int64 (ids,).
        pair_uses: Likewise each pair, int64 (ids of pairs,).
        segmenter: Words of a codebook, or None.
        words: Words of the segmenter with an id of their own; empty where the network has no table
            of words.
    """

    characters: str
    pairs: np.ndarray
    uses: np.ndarray
    pair_uses: np.ndarray
    segmenter: Segmenter | None = None
    words: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        *,
        more: Iterable[str] = (),
        segmenter: Segmenter | None = None,
        words: Iterable[str] = (),
    ) -> "TagFeatures":
        """Returns features with an id for each character of some texts.

        Args:
            texts: The texts of the training data.
            more: Characters that get an id too, as there are vectors for them.
            segmenter: Words of a codebook.
            words: Words with an id of their own.

        Example:
            >>> features = TagFeatures.of(["北京北京", "京"])
            >>> features.characters, features.encode("北京西")["characters"].tolist()
            ('京北', [3, 2, 1])
        """
        seen = Counter(character for text in texts for character in text)
        known = sorted(seen, key=lambda character: (-seen[character], character))
        characters = "".join([*known, *sorted(set(more) - seen.keys())])
        nothing = np.zeros(FIRST_ID, dtype=np.int64)
        uses = np.append(nothing, [seen[character] for character in characters]).astype(np.int64)
        bare = cls(characters, np.empty(0, np.int64), uses, nothing)
        codes = [bare._pair_codes(bare._ids(text)) for text in texts]
        found, counts = np.unique(np.concatenate([bare.pairs, *codes]), return_counts=True)
        kept = np.flatnonzero(counts >= LEAST_USES)
        if len(kept) > MOST_PAIRS:
            kept = np.sort(kept[np.argsort(-counts[kept], kind="stable")[:MOST_PAIRS]])
        pair_uses = np.append(nothing, counts[kept])
        return cls(characters, found[kept], uses, pair_uses, segmenter, tuple(words))

    @property
    def inputs(self) -> TagInputs:
        """How many ids there are of each kind."""
        return TagInputs(
            FIRST_ID + len(self.characters),
            FIRST_ID + len(self.pairs),
            COLUMNS if self.segmenter is not None else (),
            FIRST_ID + len(self.words) if self.words and self.segmenter is not None else 0,
        )

    def encode(self, text: str) -> dict[str, np.ndarray]:
        """Returns the ids of each character, int32 (characters,), matches (characters, columns)."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """Returns `encode` of each text; all at once, as a call has its price."""
        stops = np.cumsum([len(text) + 1 for text in texts], dtype=np.int64)
        bounds = list(zip([0, *stops.tolist()], (stops - 1).tolist(), strict=False))
        joined = "\n".join(texts)
        ids = self._ids(joined)
        codes = self._pair_codes(ids)
        starts = np.array([start for start, stop in bounds if start < stop], dtype=np.int64)
        codes[starts] = ids[starts]  # nothing stands before the first
        found = {"characters": ids, "pairs": self._pair_ids(codes)}
        if self.segmenter is not None:
            found["matches"] = match_words(self.segmenter, joined)
        if self.words and self.segmenter is not None:
            covered = np.full(len(joined), UNKNOWN, dtype=np.int32)
            for start, stop in self.segmenter.spans(joined):
                covered[start:stop] = self._word_ids.get(joined[start:stop], UNKNOWN)
            found["words"] = covered
        return [
            {name: column[start:stop] for name, column in found.items()} for start, stop in bounds
        ]

    @cached_property
    def alphabet(self) -> Alphabet:
        """The known characters."""
        return Alphabet(self.characters)

    @cached_property
    def _word_ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, FIRST_ID)}

    def _ids(self, text: str) -> np.ndarray:
        found = self.alphabet.table[code_points(text)]
        return np.where(found < 0, UNKNOWN, found + FIRST_ID).astype(np.int32)

    def _pair_codes(self, ids: np.ndarray) -> np.ndarray:
        before = np.concatenate([np.zeros(min(1, ids.size), ids.dtype), ids[:-1]])
        return before.astype(np.int64) * (FIRST_ID + len(self.characters)) + ids

    def _pair_ids(self, codes: np.ndarray) -> np.ndarray:
        if not self.pairs.size:
            return np.full(codes.size, UNKNOWN, dtype=np.int32)
        place = np.minimum(np.searchsorted(self.pairs, codes), self.pairs.size - 1)
        return np.where(self.pairs[place] == codes, place + FIRST_ID, UNKNOWN).astype(np.int32)
