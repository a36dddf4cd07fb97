"""Characters to ids and back, in the order in which a text first shows them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taolu.text.normalize import character_class


@dataclass(frozen=True)
class Alphabet:
    """The distinct characters of a text; the id of a character is its place.

    Args:
        characters: Distinct characters.

    Example:
        >>> alphabet = Alphabet("天气好")
        >>> alphabet.encode("好天"), alphabet.decode([1, 2])
        (array([2, 0], dtype=int32), '气好')
    """

    characters: str

    def __post_init__(self) -> None:
        if len(set(self.characters)) != len(self.characters):
            raise ValueError(
                f"`characters` must be distinct. Received: {len(self.characters)} characters, "
                f"{len(set(self.characters))} of them distinct."
            )

    def __len__(self) -> int:
        return len(self.characters)

    @cached_property
    def codes(self) -> np.ndarray:
        """Code point of each id, uint32 (size,)."""
        return code_points(self.characters)

    @cached_property
    def table(self) -> np.ndarray:
        """Id of each code point, int32 (0x110000,); -1 where there is none."""
        table = np.full(0x110000, -1, dtype=np.int32)
        table[self.codes] = np.arange(len(self), dtype=np.int32)
        return table

    @cached_property
    def classes(self) -> np.ndarray:
        """OTHER, WORD or ALNUM for each id, uint8 (size,)."""
        return np.array([character_class(c) for c in self.characters], dtype=np.uint8)

    def encode(self, text: str) -> np.ndarray:
        """Returns the ids of the characters, int32 (time,); -1 for an unknown character."""
        return self.table[code_points(text)]

    def decode(self, ids) -> str:
        """Returns the characters of the ids.

        Raises:
            ValueError: An id is negative: it marks an unknown character or a boundary.
        """
        ids = np.asarray(ids, dtype=np.int64).tolist()
        if min(ids, default=0) < 0:
            raise ValueError(f"`ids` must not be negative. Received: {min(ids)}.")
        return "".join(self.characters[i] for i in ids)


def code_points(text: str) -> np.ndarray:
    """Returns the code points of a text, uint32 (time,).

    Example:
        >>> code_points("a中")
        array([   97, 20013], dtype=uint32)
    """
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
