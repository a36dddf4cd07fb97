"""A run of characters as one number, so that sorting numbers sorts text and prefixes lie together.

The id of a character plus one takes `bits` bits; the first character stands highest. As many whole
characters as 64 bits hold make a word, and a longer key is several words. Where the text breaks,
zeros follow: they sort before every character, so a short run comes right before its extensions.
"""

from dataclasses import dataclass

import numpy as np

from taolu._kernel import kernel

WORD_BITS = 64


@dataclass(frozen=True)
class Packing:
    """How runs of up to `order` characters are written as numbers.

    Attributes:
        bits: Bits of one character.
        width: Characters of one word.
        order: Longest run.
    """

    bits: int
    width: int
    order: int

    @classmethod
    def of(cls, size: int, order: int) -> "Packing":
        """Returns the packing of an alphabet of `size` characters.

        Example:
            >>> Packing.of(20_000, 4), Packing.of(20_000, 8).words
            (Packing(bits=15, width=4, order=4), 2)
        """
        bits = max(1, size.bit_length())
        return cls(bits, min(order, WORD_BITS // bits), order)

    @property
    def words(self) -> int:
        """Words of the longest run."""
        return self.words_of(self.order)

    def words_of(self, order: int) -> int:
        """Returns how many words a run of `order` characters takes."""
        return -(-order // self.width)

    def places(self) -> np.ndarray:
        """Returns word and shift of the last character of a run of each order, int64 (order+1, 2).

        Row 0 is unused.
        """
        last = np.arange(-1, self.order)
        shifts = self.bits * (self.width - 1 - last % self.width)
        return np.stack([last // self.width, shifts], axis=1).astype(np.int64)

    def tails(self) -> np.ndarray:
        """Returns the masks that cut a run to its first n characters, uint64 (order+1, words)."""
        tails = np.zeros((self.order + 1, self.words), dtype=np.uint64)
        for order in range(1, self.order + 1):
            word, shift = self.places()[order]
            tails[order, :word] = ~np.uint64(0)
            tails[order, word] = ~np.uint64(0) << np.uint64(shift)
        return tails


def pack(
    ids: np.ndarray,
    codes: np.ndarray,
    stop: int,
    packing: Packing,
    common: np.ndarray,
    span: tuple[int, int] = (0, 1 << 62),
) -> np.ndarray:
    """Returns the run of up to `order` characters that starts at each kept position.

    Args:
        ids: Character ids, int32 (time,); a negative id breaks runs.
        codes: Id plus one, or 0 for a character that breaks runs, uint64 (size,).
        stop: Runs start before this position; those after it only continue them.
        packing: The longest run, and how it is written.
        common: Packed runs of `width` characters, uint64 (rows,). If there are any, only runs
            longer than that are returned, cut to the characters whose every run of `width` is
            among them. No run that occurs as often as all of `common` is lost by that.
        span: Only runs whose first character has a code from the first to before the second.

    Returns:
        Keys in the order of the text, uint64 (rows, words).
    """
    keys = np.empty((min(stop, ids.size), packing.words), dtype=np.uint64)
    numbers = [stop, packing.bits, packing.width, packing.order, *span]
    shape = np.array(numbers, dtype=np.int64)
    used = _pack(ids, codes, shape, packing.tails(), common_table(common), keys)
    return keys[keys.shape[0] - used :]


def common_table(common: np.ndarray) -> np.ndarray:
    """Returns a hash set of keys, at most half full; no key at all gives an empty array."""
    if not common.size:
        return np.empty(0, dtype=np.uint64)
    table = np.zeros(table_size(common.size), dtype=np.uint64)
    _fill(common, table)
    return table


def table_size(keys: int) -> int:
    """Returns the slots of the hash set of that many keys."""
    return 1 << max(4, (2 * keys - 1).bit_length())


def unpack(keys: np.ndarray, order: int, packing: Packing) -> np.ndarray:
    """Returns the ids of the characters of runs of one order, int64 (rows, order).

    Args:
        keys: Keys, uint64 (rows,) or (rows, words), the last word without empty places.
    """
    keys = keys.reshape(len(keys), packing.words_of(order))
    mask = np.uint64((1 << packing.bits) - 1)
    ids = np.empty((len(keys), order), dtype=np.int64)
    for place in range(order):
        word = place // packing.width
        filled = min(order - word * packing.width, packing.width)
        shift = packing.bits * (filled - 1 - place % packing.width)
        ids[:, place] = (keys[:, word] >> np.uint64(shift)) & mask
    return ids - 1


def pack_one(ids: np.ndarray, packing: Packing) -> np.ndarray:
    """Returns the key of one run, uint64 (words,), the last word without empty places."""
    keys = np.zeros(packing.words_of(len(ids)), dtype=np.uint64)
    for place, code in enumerate(ids.tolist()):
        word = place // packing.width
        keys[word] = (int(keys[word]) << packing.bits) | (code + 1)
    return keys


@kernel
def _pack(ids, codes, shape, tails, table, keys):
    """Fills `keys` from its end; returns how many. Each step shifts one character in."""
    stop, bits, width, order = shape[0], shape[1], shape[2], shape[3]
    low, high = np.uint64(shape[4]), np.uint64(shape[5])
    words = keys.shape[1]
    step, top = np.uint64(bits), np.uint64(bits * (width - 1))
    mask = (np.uint64(1) << step) - np.uint64(1)
    zero = np.uint64(0)
    # The first word is a number of its own: a loop over memory would wait for each store.
    head, window = zero, np.zeros(words, dtype=np.uint64)
    free, together, length = keys.shape[0], 0, order
    for t in range(ids.size - 1, -1, -1):
        code = codes[ids[t]] if ids[t] >= 0 else zero
        if code == zero:
            head, together = zero, 0
            window[:] = zero
            continue
        for word in range(words - 1, 0, -1):
            before = window[word - 1] if word > 1 else head
            window[word] = ((before & mask) << top) | (window[word] >> step)
        head = (code << top) | (head >> step)
        if table.size:
            whole = head & mask != zero
            together = together + 1 if whole and _among(head, table) else 0
            length = min(together + width - 1, order)
            if length <= width:
                continue
        if t < stop and low <= code < high:
            free -= 1
            keys[free, 0] = head & tails[length, 0]
            for word in range(1, words):
                keys[free, word] = window[word] & tails[length, word]
    return keys.shape[0] - free


@kernel
def _slot(key, slots):
    # Two products of 32-bit halves: a mix that cannot overflow, so it also runs uncompiled.
    low = (key & np.uint64(0xFFFFFFFF)) * np.uint64(0x9E3779B1)
    high = (key >> np.uint64(32)) * np.uint64(0x85EBCA77)
    return np.int64(((low ^ high) >> np.uint64(22)) & np.uint64(slots - 1))


@kernel
def _fill(keys, table):
    for key in keys:
        slot = _slot(key, table.size)
        while table[slot] != np.uint64(0):
            slot = (slot + 1) & (table.size - 1)
        table[slot] = key


@kernel
def _among(key, table):
    slot = _slot(key, table.size)
    while table[slot] != np.uint64(0):
        if table[slot] == key:
            return True
        slot = (slot + 1) & (table.size - 1)
    return False
