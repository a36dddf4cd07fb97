"""Which characters end a sentence, make up words, or stand between them.

A sentence ends at a line end and after each of 。！？；!?;. Characters are counted after Unicode
NFC, whitespace left out, nothing folded: this is the text every line of the ledger describes.
"""

import unicodedata

import numpy as np

SENTENCE_ENDS = "。！？；!?;"

# What a character can do for a word.
OTHER = 0  # punctuation and symbols: never part of a word of two characters or more
WORD = 1  # Han, kana, Hangul and other scripts written without spaces
ALNUM = 2  # digits and letters: a run of them is one word

# What a code point does to a sentence, for the reading kernels.
ORDINARY = 0
SPACE = 1
LINE_END = 2
SENTENCE_END = 3
UNSAFE = 4  # may not be in NFC form: the reader looks closer

_WIDTHS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}

# Code points that NFC leaves alone whatever stands before or after them.
_STABLE = (
    (0x0000, 0x0300),
    (0x0388, 0x0483),
    (0x2010, 0x20D0),
    (0x2100, 0x2126),
    (0x212C, 0x2329),
    (0x232B, 0x2ADC),
    (0x3000, 0x302A),
    (0x3030, 0x3099),
    (0x309B, 0xA000),
    (0xAC00, 0xD7A4),
    (0xE000, 0xF900),
    (0xFE00, 0xFE20),
    (0xFE30, 0xFE70),
    (0xFF00, 0xFFF0),
    (0x1F000, 0x1FB00),
    (0x20000, 0x2F800),
)


def split_sentences(line: str) -> list[str]:
    """Returns the sentences of a line, outer whitespace removed, empty ones left out.

    Args:
        line: Text. A line feed inside ends a sentence too.

    Example:
        >>> split_sentences("他来了！！真 的？ 是")
        ['他来了！', '！', '真 的？', '是']
    """
    sentences, start = [], 0
    for index, character in enumerate(line):
        if character in SENTENCE_ENDS or character == "\n":
            sentences.append(line[start : index + 1].strip())
            start = index + 1
    sentences.append(line[start:].strip())
    return [sentence for sentence in sentences if sentence]


def to_nfc(text: str) -> str:
    """Returns the text in Unicode normal form C.

    Example:
        >>> len("e\\u0301"), len(to_nfc("e\\u0301"))
        (2, 1)
    """
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def fold_width(text: str) -> str:
    """Returns the text with full-width ASCII forms made half-width.

    Example:
        >>> fold_width("ＡＢＣ１２３，")
        'ABC123,'
    """
    return text.translate(_WIDTHS)


def character_class(character: str) -> int:
    """Returns OTHER, WORD or ALNUM: what the character can do for a word.

    Example:
        >>> [character_class(c) for c in "中〇a３，"]
        [1, 1, 2, 2, 0]
    """
    category = unicodedata.category(character)
    if character in "々〇〻":
        return WORD
    if category[0] not in "LN":
        # A combining mark belongs to the letter before it.
        return ALNUM if category[0] == "M" else OTHER
    if category in ("Lo", "Lm"):
        return WORD
    return ALNUM if category in ("Lu", "Ll", "Lt", "Nd") else OTHER


def sentence_kinds() -> np.ndarray:
    """Returns what each code point does to a sentence, uint8 (0x110000,)."""
    kinds = np.full(0x110000, UNSAFE, dtype=np.uint8)
    for start, stop in _STABLE:
        kinds[start:stop] = ORDINARY
    for code in _WHITESPACE:
        kinds[code] = SPACE
    for character in SENTENCE_ENDS:
        kinds[ord(character)] = SENTENCE_END
    kinds[0x0A] = LINE_END
    return kinds


# Every character of which `str.isspace` is true (checked by a test).
_WHITESPACE = (
    *range(0x09, 0x0E),
    *range(0x1C, 0x21),
    0x85,
    0xA0,
    0x1680,
    *range(0x2000, 0x200B),
    0x2028,
    0x2029,
    0x202F,
    0x205F,
    0x3000,
)
