"""Word lists that go out and come back, to jieba too."""

import csv
import json
import math

import numpy as np
import pytest

from taolu.errors import CorpusError
from taolu.mine.codebook import WORD_COLUMNS, Words
from taolu.mine.dictionary import read_dictionary, to_csv, to_jieba, to_json, write_words


@pytest.fixture
def words():
    floats = (np.array(values) for values in ([1.5, 2.0, math.nan], [0.5, 1, 2], [3, 0.25, 2]))
    return Words(
        ("奥特曼打怪兽", "AI助手", "的"),
        np.array([30, 7, 900]),
        *floats,
        np.array([100.5, 20.0, 0.0]),
        np.array([False, True, False]),
    )


def test_a_dictionary_is_the_first_word_of_each_line(tmp_path):
    path = tmp_path / "user.txt"
    path.write_text("\ufeff# 注释\n北京 5 ns\n上海\t7\n\n  天津  \ncafe\u0301\n北京\n", "utf-8")
    assert read_dictionary(path) == {"北京", "上海", "天津", "café"}


def test_a_dictionary_in_another_encoding(tmp_path):
    path = tmp_path / "user.txt"
    path.write_bytes("北京 5\n".encode("gb18030"))
    assert read_dictionary(path, encoding="gb18030") == {"北京"}
    with pytest.raises(CorpusError, match=r"user\.txt, line 1: not valid UTF-8"):
        read_dictionary(path)


@pytest.mark.parametrize("text", ["", "\n \n", "# only\n# comments\n"])
def test_a_dictionary_without_words_is_an_error(tmp_path, text):
    path = tmp_path / "user.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(CorpusError, match=r"user\.txt: the dictionary holds no word"):
        read_dictionary(path)


def test_a_dictionary_that_is_not_there(tmp_path):
    with pytest.raises(CorpusError, match=r"none\.txt"):
        read_dictionary(tmp_path / "none.txt")


@pytest.mark.parametrize("name", ["out.txt", "out.dict"])
def test_written_words_are_read_back(tmp_path, words, name):
    write_words(words, tmp_path / name)
    assert read_dictionary(tmp_path / name) == {"奥特曼打怪兽", "AI助手"}


def test_jieba_loads_our_dictionary(tmp_path, words):
    import jieba

    write_words(words, tmp_path / "user.txt")
    tokenizer = jieba.Tokenizer()
    text = "看奥特曼打怪兽的书"
    assert "奥特曼打怪兽" not in tokenizer.lcut(text)
    with (tmp_path / "user.txt").open("rb") as file:
        tokenizer.load_userdict(file)
    assert tokenizer.lcut(text) == ["看", "奥特曼打怪兽", "的", "书"]
    assert tokenizer.FREQ["奥特曼打怪兽"] == 30


def test_csv_holds_the_whole_table(tmp_path, words):
    write_words(words, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == WORD_COLUMNS
    assert rows[1] == ["奥特曼打怪兽", "30", "1.5", "0.5", "3.0", "100.5", "False"]
    assert rows[3][2] == ""
    assert to_csv(words).count("\n") == 4


def test_csv_quotes_what_needs_it(words):
    table = words.select([0])
    odd = Words(('a,"b"',), *(getattr(table, name) for name in WORD_COLUMNS[1:]))
    assert next(csv.DictReader(to_csv(odd).splitlines()))["word"] == 'a,"b"'


def test_json_holds_the_whole_table(tmp_path, words):
    write_words(words, tmp_path / "out.json")
    rows = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [tuple(row) for row in rows] == [WORD_COLUMNS] * 3
    assert rows[1]["known"] is True
    assert rows[1]["count"] == 7
    assert rows[2]["cohesion"] is None
    assert json.loads(to_json(words)) == rows


def test_an_empty_table(words):
    nothing = words.select([])
    assert to_jieba(nothing) == ""
    assert json.loads(to_json(nothing)) == []
    assert to_csv(nothing) == ",".join(WORD_COLUMNS) + "\n"


def test_an_unknown_form_is_refused_and_nothing_is_written(tmp_path, words):
    with pytest.raises(ValueError, match=r"`path` must end in \.txt, \.dict, \.csv, \.json"):
        write_words(words, tmp_path / "out.xlsx")
    assert list(tmp_path.iterdir()) == []
