"""What the page of a codebook is told of its vectors: nearest words, and a map of the most used."""

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import numpy as np

from taolu.mine.similar import nearest
from taolu.report.word_map import place_words

if TYPE_CHECKING:
    from taolu.mine.codebook import Codebook
    from taolu.mine.groups import WordGroups

WORDS = 5000  # the most used, whose neighbours are told
NEIGHBOURS = 10
ON_MAP = 1500
LEAST_SIMILARITY = 0.05
FINE = 1000  # steps from one side of the map to the other, and from cosine 0 to 1
NONE = 0xFFFF  # no neighbour


def describe_vectors(book: "Codebook") -> dict[str, Any] | None:
    """Returns the most used words with their nearest, and places of some on a map.

    Neighbours are rows of `words` and cosines in thousandths, each two bytes, the lower one first,
    written in base 64: `NEIGHBOURS` for each word.
    """
    found = book.vectors
    if found is None or len(found) < 2:
        return None
    order = np.arange(len(found))
    if found.counts is not None:
        order = np.argsort(-found.counts, kind="stable")
    order = order[:WORDS]
    words = [found.words[i] for i in order.tolist()]
    vectors = found.vectors[order]
    uses = found.counts[order].tolist() if found.counts is not None else None
    near, cosines = _neighbours(vectors)
    rows = [i for i, word in enumerate(words) if len(word) > 1 and any(map(str.isalnum, word))]
    return {
        "total": len(found),
        "words": words,
        "uses": uses,
        "each": NEIGHBOURS,
        "near": _packed(near),
        "cosines": _packed(cosines),
        "map": _map(words, vectors, rows[:ON_MAP], book.groups),
    }


def _neighbours(vectors) -> tuple[np.ndarray, np.ndarray]:
    sources, ends, cosines = nearest(
        vectors, neighbours=NEIGHBOURS, least_similarity=LEAST_SIMILARITY
    )
    near = np.full((len(vectors), NEIGHBOURS), NONE, dtype=np.int64)
    thousandths = np.zeros_like(near)
    # Links come by source, the most similar first.
    rank = np.arange(sources.size) - np.searchsorted(sources, sources)
    near[sources, rank] = ends
    thousandths[sources, rank] = np.rint(cosines * FINE)
    return near, thousandths


def _packed(numbers) -> str:
    return b64encode(numbers.astype("<u2").tobytes()).decode("ascii")


def _map(words, vectors, rows, groups: "WordGroups | None") -> dict[str, Any] | None:
    if len(rows) < 2:
        return None
    places = np.rint(place_words(vectors[rows]) * FINE).astype(int)
    group, module = {}, {}
    if groups is not None and len(groups) > 1:
        group = dict(zip(groups.words, groups.numbers.tolist(), strict=True))
        module = dict(zip(groups.words, groups.paths[:, 0].tolist(), strict=True))
    return {
        "row": rows,
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "group": [group.get(words[i], -1) for i in rows],
        "module": [module.get(words[i], -1) for i in rows],
    }
