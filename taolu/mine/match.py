"""What a dictionary says about each character of a text, as small numbers for a network.

Four columns: the length of the longest word that begins here, that ends here, that lies around the
character; and the character's place in the word that the cheapest cut of the text puts it in.
"""

import numpy as np

from taolu.chain.trie import longest_around
from taolu.mine.cut import Segmenter
from taolu.text.alphabet import code_points

LONGEST = 5  # longer words count as this
PLACES = 5  # outside words (whitespace), first, inside, last, alone
COLUMNS = (LONGEST + 1, LONGEST + 1, LONGEST + 1, PLACES)
"""How many values each column has."""

OUTSIDE, FIRST, INSIDE, LAST, ALONE = range(PLACES)


def match_words(segmenter: Segmenter, text: str) -> np.ndarray:
    """Returns what the words of a segmenter say about each character, int32 (characters, 4).

    Single characters are no matches; lengths above 5 count as 5. Columns: longest word that begins
    here, that ends here, that lies around; place in the cut: 0 whitespace, 1 first of a word, 2
    inside, 3 last, 4 a word by itself.

    Args:
        segmenter: Its words.
        text: Any text.

    Example:
        >>> words = Segmenter({"北京": 8, "北京大学": 3, "大学": 5, "在": 4})
        >>> match_words(words, "在北京大学").tolist()
        [[0, 0, 0, 4], [4, 0, 0, 1], [0, 2, 4, 2], [2, 0, 4, 2], [0, 4, 0, 3]]
    """
    columns = np.zeros((len(text), len(COLUMNS)), dtype=np.int32)
    if not text:
        return columns
    spans = np.array(segmenter.spans(text), dtype=np.int64).reshape(-1, 2)
    ids = segmenter.table[code_points(text)]  # known since the text was cut
    marked = np.zeros(segmenter.trie.size, dtype=np.bool_)
    marked[segmenter.trie.nodes] = True
    around = longest_around(ids, segmenter.classes, segmenter.trie, marked)
    columns[:, :3] = np.minimum(around, LONGEST)
    begins, ends = spans[:, 0], spans[:, 1]
    changes = np.zeros(len(text) + 1, dtype=np.int64)
    changes[begins] += 1
    np.subtract.at(changes, ends, 1)
    columns[np.cumsum(changes[:-1]) > 0, 3] = INSIDE
    columns[begins, 3] = FIRST
    columns[ends - 1, 3] = LAST
    columns[begins[ends - begins == 1], 3] = ALONE
    return columns
