"""Files of word vectors: what is written comes back, other programs agree, faults have a line."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from taolu.errors import CodebookError
from taolu.mine import vector_files
from taolu.mine.subwords import PieceVectors, Subwords
from taolu.mine.word_vectors import WordVectors

WORDS = ("的", "𠮷野家", "c++", "<s>", "café")


def few(seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((5, 7)) * 10.0 ** rng.integers(-30, 30, (5, 7))
    return WordVectors(WORDS, vectors, np.array([9, 5, 4, 2, 1]))


@pytest.mark.parametrize("suffix", [".npz", ".txt", ".vec", ".bin"])
def test_what_is_written_comes_back_to_the_bit(tmp_path, suffix):
    found = few()
    found.save(tmp_path / f"v{suffix}")
    again = WordVectors.load(str(tmp_path / f"v{suffix}"))
    assert again.words == found.words
    np.testing.assert_array_equal(again.vectors, found.vectors)
    assert [path.name for path in tmp_path.iterdir()] == [f"v{suffix}"]
    if suffix == ".npz":
        np.testing.assert_array_equal(again.counts, found.counts)
        with np.load(tmp_path / "v.npz", allow_pickle=False) as file:
            assert file["words"].dtype.kind == "U"
            assert file["vectors"].dtype == np.float32
    else:
        assert again.counts is None


@given(
    arrays.arrays(
        np.float32, (2, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    ),
    st.lists(
        st.text("的 ab\u3000\n<", min_size=1, max_size=3), min_size=2, max_size=2, unique=True
    ),
)
def test_any_finite_numbers_survive_and_words_with_spaces_are_refused(vectors, words):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        found = WordVectors(tuple(words), vectors)
        for name in ("v.txt", "v.bin"):
            path = os.path.join(folder, name)  # noqa: PTH118
            if all(word.split() == [word] for word in words):
                found.save(path)
                again = WordVectors.load(path)
                assert again.words == tuple(words)
                np.testing.assert_array_equal(again.vectors, vectors)
            else:
                with pytest.raises(ValueError, match=r"must end in .npz where a word"):
                    found.save(path)
        found.save(os.path.join(folder, "v.npz"))  # noqa: PTH118
        assert WordVectors.load(os.path.join(folder, "v.npz")).words == tuple(words)  # noqa: PTH118


def test_pieces_of_words_are_kept_in_npz(tmp_path):
    rule = Subwords(1, 2, 100, mean=False)
    buckets = np.unique(rule.hashes("上海"))
    pieces = PieceVectors(rule, buckets, np.ones((buckets.size, 2), np.float32))
    found = WordVectors(("上海",), np.ones((1, 2)), None, pieces)
    found.save(tmp_path / "v.npz")
    again = WordVectors.load(tmp_path / "v.npz")
    assert again.pieces.subwords == rule
    np.testing.assert_array_equal(again["海上"], found["海上"])


def test_the_format_is_that_of_word2vec(tmp_path):
    found = WordVectors(("好", "b"), [[1, -0.5], [0.1, 2e9]])
    found.save(tmp_path / "v.txt")
    assert (tmp_path / "v.txt").read_text("utf-8") == "2 2\n好 1 -0.5\nb 0.100000001 2e+09\n"
    found.save(tmp_path / "v.bin")
    rows = [row.astype("<f4").tobytes() for row in found.vectors]
    expected = b"2 2\n\xe5\xa5\xbd " + rows[0] + b"\nb " + rows[1] + b"\n"
    assert (tmp_path / "v.bin").read_bytes() == expected


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_reads_what_we_write_and_we_what_it_writes(tmp_path, binary):
    models = pytest.importorskip("gensim.models")
    found, name = few(), "v.bin" if binary else "v.txt"
    found.save(tmp_path / name)
    theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / name), binary=binary)
    assert tuple(theirs.index_to_key) == found.words
    np.testing.assert_array_equal(theirs.vectors, found.vectors)
    theirs.save_word2vec_format(str(tmp_path / f"g{name}"), binary=binary)
    again = WordVectors.load(tmp_path / f"g{name}")
    assert again.words == found.words
    np.testing.assert_array_equal(again.vectors, found.vectors)


def test_large_binary_files_are_read_in_parts(tmp_path, monkeypatch):
    found = few()
    found.save(tmp_path / "v.bin")
    for size in (1, 7, 29, 30, 31):
        monkeypatch.setattr(vector_files, "READ_AT_ONCE", size)
        np.testing.assert_array_equal(WordVectors.load(tmp_path / "v.bin").vectors, found.vectors)


def floats(*values):
    return np.array(values, dtype="<f4").tobytes()


FAULTS = {
    "no header.txt": (b"a 1 2\n", "no header.txt, line 1: must hold two numbers"),
    "empty.txt": (b"", "empty.txt, line 1: must hold two numbers.*Received: b''"),
    "letters.txt": (b"x y\n", "letters.txt, line 1: must hold two numbers.*b'x y"),
    "no width.bin": (b"3 0\n", "no width.bin, line 1: must hold"),
    "negative.txt": (b"-1 2\n", "line 1: must hold two numbers"),
    "boast.txt": (b"999999999999 300\na 1\n", "line 1: 999999999999 words .* do not fit into 21 b"),
    "few.txt": (b"2 2\na 1 2\nb 3\n", "few.txt, line 3: the first line promises a word and 2 num"),
    "many.txt": (b"1 1\na 1\nb 2\n", "many.txt, line 3: the first line promises 1 words"),
    "short.txt": (b"3 1\na 1\nb 2\n", "short.txt: the first line promises 3 words. Received: 2,"),
    "word.txt": (b"1 2\na 1 x\n", "word.txt, line 2: what follows the word must be numbers.*'x'"),
    "nan.txt": (b"2 1\na 1\nb nan\n", "nan.txt, line 3: numbers must be finite.*of 'b'"),
    "twice.txt": (b"2 1\na 1\na 2\n", "twice.txt: `words` must each come once"),
    "latin.txt": (b"1 1\n\xe9 1\n", "latin.txt, line 2: not valid UTF-8"),
    "nan.bin": (b"2 1\na " + floats(1) + b"\nb " + floats(np.inf), "nan.bin, word 2: numbers must"),
    "short.bin": (b"2 1\na " + floats(1) + b"\n", "promises 2 words. Received: 1, then the file"),
    "more.bin": (b"1 1\na " + floats(1) + b"\nb ", "promises 1 words, and more bytes.*b'b '"),
    "long.bin": (b"1 1\n" + b"a" * 70_000, "long.bin, word 1: a word must be followed by a space"),
    "text.npz": (b"2 2\n", "text.npz: not in the NPZ format"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_error_with_its_place(tmp_path, name):
    data, message = FAULTS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CodebookError, match=message) as caught:
        WordVectors.load(tmp_path / name)
    assert "Received: " in str(caught.value)


def test_wrong_arrays_are_refused(tmp_path):
    path = tmp_path / "v.npz"
    np.savez(path, words=np.array(["a"]))
    with pytest.raises(CodebookError, match=r"v.npz: needs the arrays.*Received: \['words'\]"):
        WordVectors.load(path)
    np.savez(path, words=np.array(["a"], dtype=object), vectors=np.ones((1, 1), np.float32))
    with pytest.raises(CodebookError, match=r"v.npz: not in the NPZ format"):
        WordVectors.load(path)
    np.savez(path, words=np.array(["a"]), vectors=np.array([[np.nan]], np.float32))
    with pytest.raises(CodebookError, match=r"v.npz: `vectors` must be finite"):
        WordVectors.load(path)


def test_missing_files_and_other_formats_are_named(tmp_path):
    with pytest.raises(CodebookError, match=r"gone.txt: cannot be read"):
        WordVectors.load(tmp_path / "gone.txt")
    with pytest.raises(ValueError, match=r"must end in .npz, .txt, .vec, .bin. Received: 'v.pkl'"):
        few().save(tmp_path / "v.pkl")


def test_a_failed_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "v.npz"
    few(1).save(path)

    def full(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        few(2).save(path)
    monkeypatch.undo()
    np.testing.assert_array_equal(WordVectors.load(path).vectors, few(1).vectors)
    assert [p.name for p in tmp_path.iterdir()] == ["v.npz"]
