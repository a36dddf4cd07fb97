"""A text as ids, against an encoder of a dozen lines of plain Python."""

import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import taolu.text.encode as module
from taolu.errors import CorpusError
from taolu.text.corpus import Corpus
from taolu.text.encode import END, GAP, encode
from taolu.text.normalize import split_sentences, to_nfc


def naive(text):
    """Ids, alphabet, counts and number of sentences, one character at a time."""
    ids, alphabet, counts, sentences = [], {}, Counter(), 0
    for line in text.split("\n"):
        for sentence in split_sentences(to_nfc(line)):
            for number, part in enumerate(sentence.split()):
                ids += [GAP] if number else []
                ids += [alphabet.setdefault(character, len(alphabet)) for character in part]
                counts.update(part)
            ids.append(END)
            sentences += 1
    return ids, "".join(alphabet), [counts[character] for character in alphabet], sentences


def flat(encoded):
    return (
        encoded.ids.tolist(),
        encoded.alphabet.characters,
        encoded.counts.tolist(),
        encoded.sentences,
    )


def in_blocks(text, block_bytes, folder):
    path = folder / "text.txt"
    path.write_bytes(text.encode())
    blocks = Corpus.blocks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Corpus, "blocks", lambda self: blocks(self, block_bytes))
        return encode(Corpus.of(path))


# Characters that readers get wrong: marks, ends, all whitespace, compositions, astral characters.
TRICKY = (
    "ab好。！？；!?;  \t\r\n\x00\x0b\x1c\x85\xa0\u1680\u2003\u2028\u3000é\u0301\u0323e\u037e\u2126"
)
TRICKY += "가\u1100\u1161\u11a8\uac00\uf900\ufeff\u200b\U0001f600\U00020bb7\U0002f800\U0010ffff"
any_text = st.text(st.characters(exclude_categories=["Cs"])) | st.text(TRICKY)


def test_worked_example():
    text = encode(Corpus.from_lines(["他来了！！真 的？ 是", "", "  ", "来"]))
    assert text.alphabet.characters == "他来了！真的？是"
    assert text.ids.tolist() == [0, 1, 2, 3, -1, 3, -1, 4, GAP, 5, 6, -1, 7, -1, 1, END]
    assert text.counts.tolist() == [1, 2, 1, 2, 1, 1, 1, 1]
    assert (text.sentences, text.characters) == (5, 10)
    assert text.words_only.tolist() == [True, True, True, False, True, True, False, True]
    assert (text.ids.dtype, text.counts.dtype) == (np.int32, np.int64)


def test_an_empty_corpus_gives_empty_arrays():
    text = encode(Corpus.from_lines([]))
    assert flat(text) == ([], "", [], 0)
    assert text.characters == 0
    assert flat(encode(Corpus.from_lines(["", " \t", "\u3000"]))) == ([], "", [], 0)


@given(any_text)
@example("e\u0301 e\u0301\n\u037e;\u2126\n\u1100\u1161\u11a8")
@example("\r\n好\r\n\r坏\r")
@example("\x00\x00。\x00")
def test_ids_equal_those_of_plain_python(text):
    assert flat(encode(Corpus.from_lines([text]))) == naive(text)


@given(any_text, st.integers(4, 24))
def test_the_size_of_blocks_changes_nothing(tmp_path_factory, text, block_bytes):
    text = text.removeprefix("\ufeff")
    assert flat(in_blocks(text, block_bytes, tmp_path_factory.getbasetemp())) == naive(text)


def test_a_block_read_the_slow_way_leaves_no_trace(tmp_path):
    # The second line fails at its end, after new characters and sentences were counted.
    text = "好的。\n新字！再新；e\u0301\n好新\n"
    assert flat(in_blocks(text, 4, tmp_path)) == naive(text)
    assert flat(in_blocks(text, 1000, tmp_path)) == naive(text)


@given(any_text)
def test_counts_describe_the_ids(text):
    encoded = encode(Corpus.from_lines([text]))
    kept = encoded.ids[encoded.ids >= 0]
    assert np.array_equal(np.bincount(kept, minlength=len(encoded.alphabet)), encoded.counts)
    assert (encoded.ids == END).sum() == encoded.sentences
    characters = unicodedata.normalize("NFC", text)
    assert encoded.alphabet.decode(kept) == "".join(characters.split())


def test_a_large_text_goes_to_a_file_and_stays_the_same(tmp_path, monkeypatch):
    text = "".join(f"第{n}行，e\u0301。 \U0001f600\n" for n in range(200))
    expected = naive(text)
    for limit in (0, 100, len(expected[0]) - 1, len(expected[0])):
        monkeypatch.setattr(module, "IN_MEMORY_IDS", limit)
        encoded = in_blocks(text, 300, tmp_path)
        assert flat(encoded) == expected
        mapped = encoded.ids.base is not None
        assert mapped == (limit < len(expected[0])), "ids lie in a file past the limit"
        assert encoded.ids.flags.c_contiguous
        assert encoded.ids.flags.writeable, "the same type to Numba as ids in memory"


# Stray, overlong, cut off, surrogate, past the last code point, and no UTF-8 byte at all.
NOT_UTF8 = "80 c080 c1bf c3 c328 e08080 e4b8 e428ad e4b8c0 eda080 edbfbf f0808080 f09f98 f09f2880"
NOT_UTF8 += " f4908080 f5808080 ff fe"


@pytest.mark.parametrize("bad", [bytes.fromhex(code) for code in NOT_UTF8.split()])
@pytest.mark.parametrize("end", [b"", b"\n", b"\xe5\xa5\xbd\n"])
def test_what_is_not_utf8_is_reported_with_its_line(tmp_path, bad, end):
    path = tmp_path / "bad.txt"
    path.write_bytes("一\n二。\n三".encode() + bad + end)
    with pytest.raises(CorpusError, match=r"bad\.txt, line 3: not valid UTF-8"):
        encode(Corpus.of(path))


some_lines = st.lists(
    st.sampled_from(["", "好的。", "新字！ 再", "e\u0301x", "วัน 好", "장\u1100\u1161"])
)


@given(some_lines, st.integers(0, 40))
def test_lines_read_the_slow_way_stand_among_the_others(tmp_path_factory, lines, reach):
    text = "\n".join(lines)
    folder = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "REACH_BYTES", reach)
        assert flat(in_blocks(text, 1000, folder)) == naive(text)
        path = folder / "bad.txt"
        path.write_bytes(f"{text}\n好".encode() + b"\xff\n" + text.encode())
        with pytest.raises(CorpusError, match=rf"line {text.count(chr(10)) + 2}: not valid"):
            encode(Corpus.of(path))


def test_every_kind_of_code_point_is_read(tmp_path):
    # Nothing is assigned above but tags (0xE0000) and private use; of that, some.
    codes = [*range(0xD800), *range(0xE000, 0x33000), *range(0xE0000, 0xE0200)]
    points = [chr(code) for code in (*codes, *range(0xF0000, 0x110000, 997))]
    text = "。\n".join("".join(points[at : at + 16]) for at in range(0, len(points), 16))
    path = tmp_path / "all.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert flat(encode(Corpus.of(path))) == naive(text)


def test_progress_ends_at_the_size(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("好\n" * 1000, encoding="utf-8")
    calls = []
    encode(Corpus.of(path), progress=lambda done, size: calls.append((done, size)))
    assert calls[-1] == (path.stat().st_size, path.stat().st_size)
