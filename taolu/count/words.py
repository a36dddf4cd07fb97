"""Word frequencies of a text, exact, merged once from parallel workers.

Words between whitespace are counted by compiled code in threads (`taolu.count.spaced`). Any other
tokenizer runs in processes, each with a dictionary of its own for its share of the text; sending
tokens, or a dictionary for each batch, costs more than the counting.
"""

import codecs
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, pairwise
from pathlib import Path

from taolu.count.parallel import parallel_map
from taolu.text.corpus import COMPRESSED_SUFFIXES, LINES_BYTES, Corpus, Source

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


def _count_spaced(text: Corpus | Iterator[str], workers: int) -> dict[str, int]:
    # Imported here: worker processes import this file, and need no compiler.
    from taolu.count.spaced import count_spaced

    if not isinstance(text, Corpus):
        # Half a surrogate pair is no text for a file, but it is for a string.
        blocks = ("\n".join(lines).encode("utf-8", "surrogatepass") for lines in _batches(text))
        return count_spaced(blocks, workers, "surrogatepass")
    try:
        return count_spaced((block.data for block in text.blocks()), workers)
    except UnicodeDecodeError:
        _explain(text)
        raise


def _tally(tokenizer: Tokenizer, lines: Iterable[str]) -> Counter[str]:
    return Counter(chain.from_iterable(map(tokenizer, lines)))


def _ranked(counts: dict[str, int], min_count: int) -> dict[str, int]:
    kept = counts if min_count == 1 else {w: c for w, c in counts.items() if c >= min_count}
    words = sorted(kept)
    # Sorting twice keeps equal counts in the order of their words.
    words.sort(key=kept.__getitem__, reverse=True)
    return {word: kept[word] for word in words}


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
                chunk = file.read(min(LINES_BYTES, left))
                # A file cut short while it is read ends here.
                left = left - len(chunk) if chunk else 0
                data = rest + chunk
                cut = data.rfind(b"\n") + 1 if left else len(data)
                yield from self._decoded(data[:cut]).removesuffix("\n").split("\n")
                rest = data[cut:]
                if len(rest) > self.corpus.max_line_bytes:
                    _explain(self.corpus)

    def _decoded(self, data: bytes) -> str:
        if self.start == 0:
            data = data.removeprefix(codecs.BOM_UTF8)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            _explain(self.corpus)
            raise


def _count_shared(text: Corpus | Iterator[str], tokenizer: Tokenizer, workers: int):
    shares: Iterable[Corpus | _Shard | list[str]]
    if isinstance(text, Corpus) and text.paths:
        shares = _shares(text, workers)
    else:
        shares = _batches(_lines(text))
    merged: Counter[str] = Counter()
    for counts in parallel_map(partial(_tally_share, tokenizer), shares, workers, ordered=False):
        merged.update(counts)
    return merged


def _tally_share(tokenizer: Tokenizer, share: "Corpus | _Shard | list[str]") -> dict[str, int]:
    counts = _tally(tokenizer, share if isinstance(share, list) else share.lines())
    # Words in order: sorting all of them at the end then only merges the workers' runs.
    return {word: counts[word] for word in sorted(counts)}


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
    """Raises the error that names the file and the line that cannot be read."""
    for block in corpus.blocks():
        block.decode()
