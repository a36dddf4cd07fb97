import gzip
import random
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taolu.count.spaced import _mixed, _Table, count_spaced
from taolu.count.words import _line_ends, count_words
from taolu.errors import CorpusError
from taolu.text.corpus import Corpus

WHITESPACE = [chr(c) for c in range(sys.maxunicode + 1) if chr(c).isspace()]


def split_commas(line):
    return line.split(",")


def pairs(line):
    return (line[i : i + 2] for i in range(len(line) - 1))


def refuse(line):
    raise ValueError(f"no words in {line!r}")


def naive(lines, tokenizer=str.split):
    counts = {}
    for line in lines:
        for word in tokenizer(line):
            counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def batched(lines, tokenizer=str.split, size=7):
    total = Counter()
    for start in range(0, len(lines), size):
        total.update(naive(lines[start : start + size], tokenizer))
    return total


def zipf_lines(seed, lines, types=3000, separator=" "):
    """Random text whose word of rank r is drawn about 1 / r as often as the first."""
    rng = random.Random(seed)
    words = list(
        {"".join(rng.choices("中文分词abé𠀀", k=rng.randint(1, 12))) for _ in range(types)}
    )
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    return [separator.join(rng.choices(words, weights, k=rng.randint(0, 30))) for _ in range(lines)]


def write(path, lines):
    path.write_bytes("\n".join(lines).encode())
    return path


def same(counts, expected):
    """Equal, in the same order."""
    assert list(counts.items()) == list(expected.items())


def test_worked_example():
    counts = count_words(["天气 好 好", "好 天气", "b a c c"])
    assert list(counts.items()) == [("好", 3), ("c", 2), ("天气", 2), ("a", 1), ("b", 1)]
    assert list(count_words(["a b b"], min_count=2)) == ["b"]
    assert all(type(count) is int for count in counts.values())


@given(st.integers(0, 2**32), st.integers(0, 60), st.sampled_from([1, 2, 3]))
def test_every_way_of_counting_agrees(seed, size, workers):
    lines = zipf_lines(seed, size, types=200)
    expected = naive(lines)
    assert batched(lines) == Counter(w for line in lines for w in line.split()) == expected
    same(count_words(lines, workers=workers), expected)
    same(count_words(Corpus.from_lines(lines), workers=workers), expected)
    same(count_words(lines, split_commas), naive(lines, split_commas))


@given(st.lists(st.text(), max_size=8))
@example(["a\u3000b", "\u3000", "\xa0x\x85y\x1cz", "\u2028", "\u200b\u180e"])
@example(["a\0", "a", "a\0\0", "\0", ""])
def test_any_text_is_split_as_python_splits_it(lines):
    same(count_words(lines), naive(lines))


@given(st.text(st.sampled_from([*WHITESPACE, "中", "a", "、", "“", "\u200b", "\u2030", "\xa1"])))
def test_every_whitespace_splits(text):
    same(count_words([text]), naive([text]))


def test_each_code_point_alone_between_words_and_at_the_end():
    points = [chr(c) for c in [*range(0x3100), 0xFEFF, 0xFFFF, 0x10000, 0x10FFFF]]
    text = "".join(
        f"字{point}字 x{point} " for point in points if not 0xD800 <= ord(point) < 0xE000
    )
    same(count_words([text]), naive([text]))
    for point in points:
        assert sum(count_words([f"ab{point}"]).values()) == len(f"ab{point}".split())


@pytest.mark.parametrize("length", range(1, 40))
def test_words_that_differ_in_one_byte_are_two(length):
    word = "abcdefgh" * 5
    words = [word[:length], word[: length - 1] + "!", word[:length] + "!"]
    lines = [" ".join(words * 2), words[0]]
    same(count_words(lines), naive(lines))


def test_half_a_surrogate_pair_is_a_word():
    assert count_words(["\ud800 a", "\ud800"]) == {"\ud800": 2, "a": 1}


def fill(table, text):
    table.add(np.frombuffer(text.encode(), dtype=np.uint8))
    return dict(
        zip(
            table.words[: table.state[1]].tobytes().decode().split(" "),
            table.weights().tolist(),
            strict=False,
        )
    )


def test_table_full_of_collisions_grows_and_stays_exact():
    # Two rows and one byte to begin with: every word meets another, and both tables double.
    text = "\n".join(zipf_lines(seed=3, lines=200))
    table = _Table(rows=2, room=1)
    assert fill(table, text) == naive([text])
    assert fill(table, text) == {word: 2 * count for word, count in naive([text]).items()}
    assert table.slots.size >= 8 * table.state[0]


def test_words_of_equal_hash_are_two():
    # 24 bytes, the first eight equal; the third eight are chosen to undo what the second change.
    rng = random.Random(0)
    pieces = (b"abcdefgh", b"ijklmnop", b"qrstuvwx")
    first, second, third = (int.from_bytes(piece, "little") for piece in pieces)
    start, twins = int(_mixed(np.uint64(first))), 0
    while twins < 20:
        other = int.from_bytes(rng.randbytes(8), "little")
        change = int(_mixed(np.uint64(start ^ second))) ^ int(_mixed(np.uint64(start ^ other)))
        word, twin = (
            b"".join(number.to_bytes(8, "little") for number in numbers)
            for numbers in ((first, second, third), (first, other, third ^ change))
        )
        if any(chr(byte).isspace() or byte == 0xC2 for byte in twin):
            continue
        table = _Table()
        table.add(np.frombuffer(b" ".join([word, twin, word]), dtype=np.uint8))
        assert table.words[: table.state[1]].tobytes() == word + b" " + twin + b" "
        assert table.weights().tolist() == [2, 1]
        twins += 1


def test_blocks_in_threads_are_merged():
    lines = zipf_lines(seed=5, lines=300)
    blocks = [line.encode() for line in lines]
    for workers in (1, 2, 5):
        assert count_spaced(blocks, workers) == naive(lines)


def test_error_in_a_thread_passes_through():
    def blocks():
        yield b"a b"
        raise CorpusError("x.txt: broken.")

    with pytest.raises(CorpusError, match="broken"):
        count_spaced(blocks(), 2)


@pytest.mark.parametrize("tokenizer", [str.split, split_commas])
@pytest.mark.parametrize("workers", [1, 2])
def test_empty_input(tmp_path, tokenizer, workers):
    path = write(tmp_path / "empty.txt", [])
    assert count_words([], tokenizer, workers=workers) == {}
    assert count_words(Corpus.from_lines([]), tokenizer, workers=workers) == {}
    # A file without a byte holds no line, so `split_commas` finds no empty word either.
    assert count_words(path, tokenizer, workers=workers) == {}


def test_path_names_a_file_and_strings_are_text(tmp_path):
    path = write(tmp_path / "a.txt", ["x y"])
    assert count_words(str(path)) == count_words(path) == count_words([path]) == {"x": 1, "y": 1}
    assert count_words([path, path]) == {"x": 2, "y": 2}
    assert count_words([str(path)]) == {str(path): 1}


@pytest.mark.parametrize("workers", [1, 2])
def test_files_of_every_kind(tmp_path, monkeypatch, workers):
    monkeypatch.setattr("taolu.count.words._SHARD_BYTES", 64)
    lines = zipf_lines(seed=1, lines=500, separator=",")
    plain = write(tmp_path / "plain.txt", lines)
    packed = tmp_path / "packed.txt.gz"
    packed.write_bytes(gzip.compress("\n".join(lines).encode()))
    other = tmp_path / "other.txt"
    other.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    corpus = Corpus.of([plain, packed, other])
    same(count_words(corpus, pairs, workers=workers), naive(corpus.lines(), pairs))
    same(count_words(corpus, workers=workers), naive(corpus.lines()))


def test_other_encoding_is_one_share(tmp_path):
    path = tmp_path / "gb.txt"
    path.write_bytes("中文,分词\n中文".encode("gb18030"))
    corpus = Corpus.of(path, encoding="gb18030")
    for workers in (1, 2):
        assert count_words(corpus, split_commas, workers=workers) == {"中文": 2, "分词": 1}
    assert count_words(corpus) == {"中文": 1, "中文,分词": 1}


def test_lines_in_memory_go_to_workers_in_batches():
    lines = zipf_lines(seed=2, lines=2500)
    same(count_words(iter(lines), pairs, workers=2), naive(lines, pairs))
    same(count_words(Corpus.from_lines(lines), pairs, workers=2), naive(lines, pairs))


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(1, 6))
def test_shares_end_at_line_ends_and_cover_the_file(tmp_path_factory, lengths, parts):
    data = b"\n".join(b"x" * length for length in lengths)
    path = tmp_path_factory.mktemp("shares") / "a.txt"
    path.write_bytes(data)
    cuts = _line_ends(path, len(data), parts)
    assert cuts[0] == 0
    assert cuts[-1] == len(data)
    assert all(data[cut - 1 : cut] == b"\n" for cut in cuts[1:-1])
    assert sorted(set(cuts)) == cuts
    assert len(cuts) <= parts + 1


@pytest.mark.parametrize("tokenizer", [str.split, split_commas])
@pytest.mark.parametrize("workers", [1, 2])
def test_invalid_file_is_named_with_its_line(tmp_path, monkeypatch, tokenizer, workers):
    monkeypatch.setattr("taolu.count.words._SHARD_BYTES", 4)
    path = tmp_path / "bad.txt"
    path.write_bytes("好 的\n".encode() * 20 + b"\xe4\xbd \n" + b"x\n" * 20)
    with pytest.raises(CorpusError, match=r"bad.txt, line 21: not valid UTF-8"):
        count_words(path, tokenizer, workers=workers)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"nowhere.txt: no such file"):
        count_words(tmp_path / "nowhere.txt")


def test_error_of_the_tokenizer_passes_through(tmp_path):
    path = write(tmp_path / "a.txt", ["x y"])
    for workers in (1, 2):
        with pytest.raises(ValueError, match="no words in 'x y'"):
            count_words(path, refuse, workers=workers)


def test_wrong_arguments():
    for name in ("workers", "min_count"):
        with pytest.raises(ValueError, match=f"`{name}` must be at least 1. Received: {name}=0"):
            count_words(["a"], **{name: 0})
    with pytest.raises(TypeError, match=r"`source` must be .* an item of type int"):
        count_words([1, 2])
    with pytest.raises(TypeError, match="`func` must be a function at the top level"):
        count_words(["a"], lambda line: [line], workers=2)


@pytest.mark.data
def test_real_text_at_full_size(data_folder):
    path = data_folder / "cws_pd1998" / "folds1-4.txt.xz"
    expected = naive(Corpus.of(path).lines())
    assert sum(expected.values()) > 1_000_000
    for workers in (1, 2):
        same(count_words(path, workers=workers), expected)
