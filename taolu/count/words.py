"""Word frequencies of a text, exact, merged once from parallel workers.

Words between whitespace are counted by compiled code, in threads: a word's first eight bytes are
one number, which finds its row in a table and, with the length, is the comparison too. Any other
tokenizer runs in processes, each with a dictionary of its own for its share of the text; sending
tokens, or a dictionary for each batch, costs more than the counting.
"""

import codecs
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, pairwise
from pathlib import Path

import numpy as np

from taolu._kernel import kernel
from taolu.count.parallel import parallel_map
from taolu.text.corpus import BLOCK_BYTES, COMPRESSED_SUFFIXES, Block, Corpus, Source

Tokenizer = Callable[[str], Iterable[str]]

_BATCH_LINES = 1000
_SHARD_BYTES = 1 << 20  # a smaller share is not worth a process
_UTF8 = ("utf-8", "utf-8-sig", "ascii")


def count_words(
    source: Corpus | Source | Iterable[str | Path],
    tokenizer: Tokenizer = str.split,
    *,
    workers: int = 1,
    min_count: int = 1,
) -> dict[str, int]:
    """Returns how often each word occurs.

    A file is tokenized line by line. With several workers a plain UTF-8 file is cut into shares
    at line ends and a compressed one is one share; lines in memory are sent in batches, which
    pays only for a slow tokenizer. Memory grows with the distinct words of each worker.

    Args:
        source: A corpus, a path, several `Path` objects, or an iterable of strings, which are
            text, not names of files.
        tokenizer: From a line to its words: a function at the top level of a module. The default,
            whitespace, is compiled.
        workers: Threads for the default tokenizer, else processes; these need
            `if __name__ == "__main__":` in a script.
        min_count: Rarer words are left out.

    Returns:
        Counts, the most frequent word first; equal counts in the order of their words.

    Raises:
        ValueError: `workers` or `min_count` is below 1.
        TypeError: `source` yields something else than text, or `tokenizer` cannot be sent.
        CorpusError: A file cannot be read.
        WorkerError: A worker died.

    Example:
        >>> count_words(["我 爱 你", "你 爱 我 ，", "我"])
        {'我': 3, '你': 2, '爱': 2, '，': 1}
        >>> count_words(["我爱你"], tokenizer=list)
        {'你': 1, '我': 1, '爱': 1}
    """
    for name, value in (("workers", workers), ("min_count", min_count)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value!r}.")
    text = _opened(source)
    # The kernel reads the lowest byte of a number first.
    if tokenizer is str.split and sys.byteorder == "little":
        counts = _count_spaced(text, workers)
    elif workers == 1:
        counts = _tally(tokenizer, _lines(text))
    else:
        counts = _count_shared(text, tokenizer, workers)
    return _ranked(counts, min_count)


def _opened(source) -> Corpus | Iterator[str]:
    """Returns the corpus, or the strings."""
    if isinstance(source, Corpus | str | os.PathLike):
        return Corpus.of(source)
    items = iter(source)
    first = next(items, None)
    if isinstance(first, os.PathLike):
        return Corpus.of([first, *items])
    return map(_text, chain([] if first is None else [first], items))


def _text(item: str) -> str:
    if not isinstance(item, str):
        raise TypeError(
            "`source` must be a corpus, a path, several Path objects, or an iterable of strings. "
            f"Received: an item of type {type(item).__name__}."
        )
    return item


def _lines(text: Corpus | Iterator[str]) -> Iterable[str]:
    return text.lines() if isinstance(text, Corpus) else text


def _tally(tokenizer: Tokenizer, lines: Iterable[str]) -> Counter[str]:
    return Counter(chain.from_iterable(map(tokenizer, lines)))


def _ranked(counts: dict[str, int], min_count: int) -> dict[str, int]:
    words = sorted(counts if min_count == 1 else [w for w, c in counts.items() if c >= min_count])
    values = np.fromiter(map(counts.__getitem__, words), np.int64, len(words))
    order = np.argsort(-values, kind="stable")
    return dict(zip(map(words.__getitem__, order.tolist()), values[order].tolist(), strict=True))


# Any tokenizer, in processes.


@dataclass(frozen=True)
class _Shard:
    """A share of the text: the bytes of one plain UTF-8 file from one line end to another."""

    corpus: Corpus
    start: int
    stop: int

    def lines(self) -> Iterator[str]:
        with self.corpus.paths[0].open("rb") as file:
            file.seek(self.start)
            left, rest = self.stop - self.start, b""
            while left:
                chunk = file.read(min(BLOCK_BYTES, left))
                # A file cut short while it is read ends here.
                left = left - len(chunk) if chunk else 0
                data = rest + chunk
                cut = data.rfind(b"\n") + 1 if left else len(data)
                yield from self._decoded(data[:cut]).removesuffix("\n").split("\n")
                rest = data[cut:]

    def _decoded(self, data: bytes) -> str:
        if self.start == 0:
            data = data.removeprefix(codecs.BOM_UTF8)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            _explain(self.corpus)
            raise


def _count_shared(text: Corpus | Iterator[str], tokenizer: Tokenizer, workers: int):
    if isinstance(text, Corpus) and text.paths:
        tally, shares = partial(_tally_share, tokenizer), iter(_shares(text, workers))
    else:
        tally, shares = partial(_tally, tokenizer), _batches(_lines(text))
    merged: Counter[str] = Counter()
    for counts in parallel_map(tally, shares, workers, ordered=False):
        merged.update(counts)
    return merged


def _tally_share(tokenizer: Tokenizer, share: "Corpus | _Shard") -> dict[str, int]:
    return _tally(tokenizer, share.lines())


def _shares(corpus: Corpus, workers: int) -> list["Corpus | _Shard"]:
    """Returns shares, the largest first, so that no long one is left to the end."""
    most = max(_SHARD_BYTES, -(-corpus.size // workers))
    shares: list[tuple[int, Corpus | _Shard]] = []
    for path in corpus.paths:
        whole = Corpus((path,), encoding=corpus.encoding, max_line_bytes=corpus.max_line_bytes)
        plain = corpus.encoding in _UTF8 and path.suffix.lower() not in COMPRESSED_SUFFIXES
        if plain and whole.size > most:
            cuts = _line_ends(path, whole.size, -(-whole.size // most))
            shares += [(b - a, _Shard(whole, a, b)) for a, b in pairwise(cuts)]
        else:
            shares.append((whole.size, whole))
    return [share for _, share in sorted(shares, key=lambda share: -share[0])]


def _line_ends(path: Path, size: int, parts: int) -> list[int]:
    with path.open("rb") as file:
        cuts = [0]
        for part in range(1, parts):
            file.seek(max(cuts[-1], size * part // parts))
            file.readline()
            cuts.append(min(size, file.tell()))
    return sorted({*cuts, size})


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    lines = iter(lines)
    while batch := list(islice(lines, _BATCH_LINES)):
        yield batch


def _explain(corpus: Corpus) -> None:
    """Raises the error that names the file and the line that is not valid."""
    for block in corpus.blocks():
        block.decode()


# Words between whitespace, in threads.


def _count_spaced(text: Corpus | Iterator[str], workers: int) -> dict[str, int]:
    if not isinstance(text, Corpus):
        # Half a surrogate pair is no text for a file, but it is for a string.
        blocks = (Block("\n".join(b).encode("utf-8", "surrogatepass"), "", 0, 0)
                  for b in _batches(text))  # fmt: skip
        return _merged(_filled(blocks, workers)).counts("surrogatepass")
    table = _merged(_filled(text.blocks(), workers))
    try:
        return table.counts("strict")
    except UnicodeDecodeError:
        _explain(text)
        raise


def _filled(blocks: Iterator[Block], workers: int) -> list["_Table"]:
    """Returns one table for each thread; each takes the next block as it becomes free."""
    lock, stopped = threading.Lock(), threading.Event()

    def fill(_) -> _Table:
        table = _Table()
        while not stopped.is_set():
            with lock:
                block = next(blocks, None)
            if block is None:
                break
            table.add(np.frombuffer(block.data, dtype=np.uint8))
        return table

    if workers == 1:
        return [fill(0)]
    with ThreadPoolExecutor(workers, "taolu-count") as threads:
        try:
            return list(threads.map(fill, range(workers)))
        finally:
            stopped.set()


def _merged(tables: list["_Table"]) -> "_Table":
    first, *others = sorted(tables, key=lambda table: -table.state[0])
    for other in others:
        first.add(other.words[: other.state[1]], other.weights())
    return first


class _Table:
    """Words and their counts, by open addressing.

    A row of `slots` is the first eight bytes of a word, its length, its place in `words`, its
    count; `words` holds every distinct word once, in order of first sight, a space after each.
    """

    def __init__(self, slots: int = 1 << 15, room: int = 1 << 18):
        self.slots = np.zeros((slots, 4), dtype=np.uint64)
        self.words = np.empty(room, dtype=np.uint8)
        self.state = np.zeros(3, dtype=np.int64)  # distinct words, bytes of them, words read
        self.clean = np.empty(0, dtype=np.uint8)

    def add(self, source: np.ndarray, weights: np.ndarray = np.empty(0, np.uint64)) -> None:
        """Counts the words of UTF-8 bytes; `weights` holds the count of each, if not 1."""
        # Eight bytes are read at a time, so eight spaces stand behind the end.
        if self.clean.size < source.size + 8:
            self.clean = np.empty(source.size + 8, dtype=np.uint8)
        clean = self.clean[: source.size + 8]
        if _blank_ascii(source, clean):
            _blank_unicode(source, clean)
        at = self.state[2] = 0
        while (at := _count(clean, at, weights, self.slots, self.words, self.state)) < source.size:
            self._grow(clean.size)

    def _grow(self, room: int) -> None:
        slots, room = len(self.slots), self.words.size + room
        if 2 * self.state[0] >= slots:
            larger = _Table(2 * slots, room)
            larger.add(self.words[: self.state[1]], self.weights())
            self.slots, self.words = larger.slots, larger.words
        else:
            self.words = np.concatenate([self.words, np.empty(room - self.words.size, np.uint8)])

    def weights(self) -> np.ndarray:
        """Returns the count of each distinct word, in order of first sight, uint64 (words,)."""
        used = self.slots[self.slots[:, 3] > 0]
        return used[np.argsort(used[:, 2]), 3]

    def counts(self, errors: str) -> dict[str, int]:
        words = self.words[: self.state[1]].tobytes().decode("utf-8", errors).split(" ")
        return dict(zip(words, self.weights().tolist(), strict=False))


@kernel
def _blank_ascii(source, clean):
    """Copies, ASCII whitespace made spaces; returns whether there may be whitespace beyond it."""
    size = source.size
    for i in range(size):
        byte = source[i]
        space = (byte >= 9) & (byte <= 13) | (byte >= 28) & (byte <= 31)
        clean[i] = np.uint8(32) if space else byte
    for i in range(size, clean.size):
        clean[i] = 32
    found = size > 1 and source[size - 2] == 0xC2
    for i in range(size - 2):
        a, b, c = source[i], source[i + 1], source[i + 2]
        found |= (a == 0xC2) & ((b == 0x85) | (b == 0xA0))
        found |= ((a == 0xE1) & (b == 0x9A) | (a == 0xE3) & (b == 0x80)) & (c == 0x80)
        low = (c <= 0x8A) | (c == 0xA8) | (c == 0xA9) | (c == 0xAF)
        found |= (a == 0xE2) & ((b == 0x80) & low | (b == 0x81) & (c == 0x9F))
    return found


@kernel
def _blank_unicode(source, clean):
    """Makes spaces of U+0085, U+00A0, U+1680, U+2000-200A, U+2028, 2029, 202F, 205F, U+3000."""
    for i in range(source.size - 1):
        a, b = source[i], source[i + 1]
        c = source[i + 2] if i + 2 < source.size else np.uint8(0)
        low = 0x80 <= c <= 0x8A or c == 0xA8 or c == 0xA9 or c == 0xAF
        if a == 0xC2 and (b == 0x85 or b == 0xA0):
            clean[i : i + 2] = 32
        elif (
            (a == 0xE1 and b == 0x9A and c == 0x80)
            or (a == 0xE2 and b == 0x80 and low)
            or (a == 0xE2 and b == 0x81 and c == 0x9F)
            or (a == 0xE3 and b == 0x80 and c == 0x80)
        ):
            clean[i : i + 3] = 32


@kernel
def _count(clean, start, weights, slots, words, state):
    """Counts words from `start` on; returns the end, or where the table or `words` was full."""
    used, room, read = state[0], state[1], state[2]
    at, stop = start, clean.size - 8
    last = np.uint64(len(slots) - 1)
    while at < stop:
        if clean[at] == 32:
            at += 1
            continue
        key, length = _piece(clean, np.uint64(at))
        number = _mixed(key)
        piece = length
        while piece == 8:
            tail, piece = _piece(clean, np.uint64(at + length))
            length += piece
            number = _mixed(number ^ tail)
        slot = number & last
        while slots[slot, 3] != 0:
            if (
                slots[slot, 0] == key
                and slots[slot, 1] == length
                and _same(clean, at, words, slots[slot, 2], length)
            ):
                break
            slot = (slot + np.uint64(1)) & last
        if slots[slot, 3] == 0:
            if 2 * used >= len(slots) or room + length + 8 > words.size:
                break
            slots[slot, 0], slots[slot, 1], slots[slot, 2] = key, length, room
            words[room : room + length] = clean[at : at + length]
            words[room + length] = 32
            used += 1
            room += length + 1
        slots[slot, 3] += weights[read] if weights.size else np.uint64(1)
        read += 1
        at += length
    state[0], state[1], state[2] = used, room, read
    return at


@kernel
def _piece(clean, at):
    """Returns the next eight bytes up to a space, as a number, and how many they are."""
    piece = np.uint64(clean[at])
    for k in range(1, 8):
        piece |= np.uint64(clean[at + np.uint64(k)]) << np.uint64(8 * k)
    # The high bit of every byte that is a space; no carry leaves its byte.
    low = np.uint64(0x7F7F7F7F7F7F7F7F)
    other = piece ^ np.uint64(0x2020202020202020)
    spaces = ~(((other & low) + low) | other | low)
    if spaces == 0:
        return piece, 8
    # The lowest of these bits, moved to the low end of its byte, less one: ones below that byte.
    below = ((spaces & (~spaces + np.uint64(1))) >> np.uint64(7)) - np.uint64(1)
    ones = below & np.uint64(0x0101010101010101)
    ones += ones >> np.uint64(32)
    ones += ones >> np.uint64(16)
    ones += ones >> np.uint64(8)
    return piece & below, np.int64(ones & np.uint64(15))


@kernel
def _mixed(number):
    """Returns a hash; products of 32-bit halves, which cannot overflow."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    mixed = (number & low) * np.uint64(0x9E3779B1)
    other = (number >> half) * np.uint64(0x85EBCA77)
    mixed ^= (other << half) | (other >> half)
    return mixed ^ (mixed >> half)


@kernel
def _same(clean, at, words, place, length):
    """Whether a word is the stored one from its ninth byte on."""
    start = np.int64(place)
    k = 8
    while k < length and clean[at + k] == words[start + k]:
        k += 1
    return k >= length
