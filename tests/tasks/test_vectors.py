"""Vectors out of files: what is read, and what is refused."""

import gzip
import pickle

import numpy as np
import pytest

from taolu.errors import CorpusError
from taolu.tasks.vectors import read_vectors


def archive(folder, **arrays):
    path = folder / "v.npz"
    np.savez(path, **arrays)
    return path


def text(folder, data, name="v.txt"):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def message(path):
    with pytest.raises(CorpusError) as caught:
        read_vectors(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).count(str(path)) == 1
    return str(caught.value).removeprefix(str(path))


def plain(vectors):
    assert all(vector.dtype == np.float32 for vector in vectors.values())
    return {word: vector.tolist() for word, vector in vectors.items()}


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i8"])
def test_archives(tmp_path, dtype):
    path = archive(
        tmp_path,
        words=np.array(["北", "北京", "😀"]),
        vectors=np.array([[1, 2], [3, 4], [5, 6]], dtype),
        counts=np.arange(3),
    )
    assert plain(read_vectors(path)) == {"北": [1.0, 2.0], "😀": [5.0, 6.0]}
    assert plain(read_vectors(str(path))) == plain(read_vectors(path))


@pytest.mark.parametrize(
    "data",
    [
        "2 2\n北 1 2\n北京 3 4\n京 5 6.5\n",
        "北 1 2\n北京 3 4\n京 5 6.5",
        "3 2\r\n北 1 2 \r\n\r\n北京 3 4 \r\n京 5 65e-1\r\n",
        "北\t1\t2\n北京\t3\t4\n京\t5\t6.5\n",
        "\ufeff3 2\n北 1 2\n北京 3 4\n京 5 6.5\n\n",
    ],
    ids=["header", "no header", "CRLF, blanks", "tabs", "BOM"],
)
def test_text(tmp_path, data):
    wanted = {"北": [1.0, 2.0], "京": [5.0, 6.5]}
    assert plain(read_vectors(text(tmp_path, data))) == wanted
    packed = text(tmp_path, gzip.compress(data.encode()), "v.vec.gz")
    assert plain(read_vectors(packed)) == wanted


def test_a_first_line_of_a_word_and_one_number_is_no_header(tmp_path):
    assert plain(read_vectors(text(tmp_path, "北 1\n京 2\n"))) == {"北": [1.0], "京": [2.0]}
    assert plain(read_vectors(text(tmp_path, "北 0.5\n京 2\n"))) == {"北": [0.5], "京": [2.0]}


def test_spaces_of_other_kinds_are_words(tmp_path):
    vectors = read_vectors(text(tmp_path, "2 2\n\u3000 1 2\n\u00a0 3 4\n"))
    assert plain(vectors) == {"\u3000": [1.0, 2.0], "\u00a0": [3.0, 4.0]}


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("北 1 2\n京 1\n", ", line 2: must be a word and 2 numbers. Received: '京 1'."),
        ("北 1 2\n京 1 2 3\n", ", line 2: must be a word and 2 numbers."),
        ("2 3\n北 1 2\n", ", line 2: must be a word and 3 numbers."),
        ("2 2\n北 1 x\n", ", line 2: must be a word and 2 numbers. Received: '北 1 x'."),
        ("北 1 nan\n", ", line 1: must be a word and 2 numbers."),
        ("北 1 2\n\n京 inf 2\n", ", line 3: must be a word and 2 numbers."),
        ("北 1 1e300\n", ", line 1: must be a word and 2 numbers."),
        ("北 1 2\n京\n", ", line 2: must be a word and 2 numbers. Received: '京'."),
        ("北\n", ", line 1: must be a word and 1 number. Received: '北'."),
        ("这是一本小说。\n", ", line 1: must be a word and 1 number."),
        ("2 2\n北京 1 2\n", ": holds no vector of a single character."),
        ("", ": holds no vector of a single character."),
        ("2 2\n", ": holds no vector of a single character."),
        (b"\xff\xfe\n", ", line 1: not valid UTF-8"),
    ],
)
def test_text_that_is_refused(tmp_path, data, wanted):
    assert message(text(tmp_path, data)).startswith(wanted)


WORDS = np.array(["北", "京"])


@pytest.mark.parametrize(
    ("arrays", "wanted"),
    [
        ({"words": WORDS}, ": needs the arrays `words` and `vectors`."),
        ({"a": WORDS}, ": needs the arrays `words` and `vectors`."),
        ({"words": WORDS, "vectors": np.ones((3, 2))}, ": `words` must be (words,) and"),
        ({"words": WORDS, "vectors": np.ones(2)}, ": `words` must be (words,) and"),
        ({"words": WORDS, "vectors": np.ones((2, 0))}, ": `words` must be (words,) and"),
        ({"words": WORDS[None], "vectors": np.ones((1, 2))}, ": `words` must be (words,) and"),
        ({"words": np.arange(2), "vectors": np.ones((2, 2))}, ": `words` must hold text"),
        ({"words": WORDS, "vectors": np.array([["1"], ["2"]])}, ": `words` must hold text"),
        ({"words": WORDS, "vectors": np.full((2, 2), np.nan)}, ": `vectors` holds numbers that"),
        ({"words": WORDS, "vectors": np.full((2, 2), 1e300)}, ": `vectors` holds numbers that"),
        ({"words": np.array(["北京"]), "vectors": np.ones((1, 2))}, ": holds no vector of a"),
    ],
)
def test_archives_that_are_refused(tmp_path, arrays, wanted):
    assert message(archive(tmp_path, **arrays)).startswith(wanted)


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_pickles_are_never_loaded(tmp_path):
    objects = np.array(["北", Trap()], dtype=object)
    path = archive(tmp_path, words=objects, vectors=np.ones((2, 2)))
    assert message(path) == ": cannot be read (it holds Python objects)."
    path.write_bytes(pickle.dumps(Trap()))
    assert message(path) == ": is no NumPy archive (.npz)."


def test_files_that_are_no_archive(tmp_path):
    path = archive(tmp_path, words=WORDS, vectors=np.ones((2, 2)))
    whole = path.read_bytes()
    for damaged in (b"", b"x", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        assert message(path) == ": is no NumPy archive (.npz)."
    path.write_bytes(whole.replace(np.float64(1).tobytes(), np.float64(2).tobytes()))
    assert message(path).startswith(": cannot be read (Bad CRC-32")
    with path.open("wb") as file:
        np.save(file, WORDS)
    assert message(path) == ": is no NumPy archive (.npz)."
    assert message(tmp_path / "no.npz") == ": cannot be read (No such file or directory)."
    assert "no such file" in message(tmp_path / "no.txt")
