"""A codebook as a folder of files: whole or not at all, and every fault with its file and line."""

import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import taolu.mine.codebook as module
from taolu.bits.codelength import COLUMNS, Ledger, Step
from taolu.errors import CodebookError
from taolu.mine.codebook import WORD_COLUMNS, Codebook, Words, read_table, write_table

NAN = float("nan")


def words(*names):
    n = len(names)
    return Words(
        tuple(names),
        np.arange(n, 0, -1, dtype=np.int64),
        np.array([NAN if len(name) == 1 else 1 / 3 + len(name) for name in names]),
        np.linspace(0.1, 7, n),
        np.array([NAN, float("inf"), *[0.0] * n])[:n],
        np.linspace(-1e-300, 1e17, n),
        np.array([at % 2 == 0 for at in range(n)], dtype=bool),
    )


def book(*names):
    ledger = Ledger((Step("characters", 4, 9.1, 0.1 + 0.2),), (Step("words", 2, 8.0, 5.0),))
    return Codebook(
        words(*names),
        {"上": 3, "海": 2, '"': 1, "𠮷": 1},
        sentences=2,
        ledger=ledger,
        passage=(("上海", "。"), ("𠮷",)),
        meta={"sources": ["小说.txt"], "options": {"min_count": 8}},
    )


def assert_same(one, other):
    assert one.words.word == other.words.word
    for name in WORD_COLUMNS[1:]:
        left, right = getattr(one.words, name), getattr(other.words, name)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right, err_msg=name)
    rest = ("characters", "sentences", "ledger", "passage", "meta")
    assert [getattr(one, name) for name in rest] == [getattr(other, name) for name in rest]


@pytest.fixture
def folder(tmp_path):
    """A saved codebook."""
    book("上海", "𠮷", "自来水").save(tmp_path / "old.taolu")
    return tmp_path / "old.taolu"


def damage(folder, name, change):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


def message(function, *arguments):
    with pytest.raises(CodebookError) as caught:
        function(*arguments)
    return str(caught.value)


# What was saved comes back


def test_a_round_trip_changes_nothing(folder):
    assert_same(Codebook.load(folder), book("上海", "𠮷", "自来水"))
    assert_same(Codebook.load(str(folder)), book("上海", "𠮷", "自来水"))


def test_an_empty_codebook_comes_back(tmp_path):
    empty = Codebook(words(), {}, 0, Ledger())
    empty.save(tmp_path / "deep" / "empty.taolu")
    assert_same(Codebook.load(tmp_path / "deep" / "empty.taolu"), empty)


no_whitespace = st.characters(exclude_categories=["Cs"]).filter(lambda c: not c.isspace())


@given(
    st.lists(st.text(no_whitespace, min_size=1), unique=True, max_size=8),
    st.floats(),
    st.integers(1, 2**63 - 1),
)
def test_any_words_and_numbers_come_back(tmp_path_factory, names, number, count):
    old = words(*names)
    counts = np.full(len(names), count, dtype=np.int64)
    same = np.full(len(names), number)
    table = Words(old.word, counts, same, old.left_entropy, same, old.saved_bits, old.known)
    path = tmp_path_factory.getbasetemp() / "any.taolu"
    anything = Codebook(table, {"上": count}, 1, Ledger((Step("a", count, number, 0.0),)))
    anything.save(path)
    loaded = Codebook.load(path)
    np.testing.assert_array_equal(loaded.words.cohesion, same)
    np.testing.assert_array_equal(loaded.words.right_entropy, same)
    assert loaded.words.word == tuple(names)
    assert loaded.words.count.tolist() == counts.tolist()
    assert repr(loaded.ledger.steps) == repr(anything.ledger.steps)


def test_the_files_are_readable_tables(folder):
    lines = (folder / "words.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == list(WORD_COLUMNS)
    assert lines[2].split("\t")[:3] == ["𠮷", "2", ""], "nan is an empty field"
    assert [line.split("\t")[-1] for line in lines[1:]] == ["yes", "no", "yes"]
    ledger = (folder / "ledger.tsv").read_text(encoding="utf-8").splitlines()
    assert ledger[0].split("\t") == list(COLUMNS)
    assert float(ledger[1].split("\t")[-1]) == 9.1 + (0.1 + 0.2)
    assert json.loads((folder / "meta.json").read_text(encoding="utf-8"))["format"] == 1


def test_rows_of_words():
    table = words("上海", "𠮷", "自来水")
    assert "上海" in table
    assert "海上" not in table
    assert list(table) == ["上海", "𠮷", "自来水"]
    assert table.row("自来水")["count"] == 1
    assert table.row("自来水")["known"] is True
    for rows in ([2, 0], np.array([2, 0])):
        assert table.select(rows).word == ("自来水", "上海")
    assert table.select(table.known).word == ("上海", "自来水")
    assert table.select([]).word == ()


def test_tables_come_back(tmp_path):
    path = tmp_path / "t.tsv"
    write_table(path, ("a", "b"), [("好", 1), ("坏", NAN), ("x", np.True_)])
    assert read_table(path, ("a", "b")) == [["好", "1"], ["坏", ""], ["x", "yes"]]


# Damaged and strange folders


@pytest.mark.parametrize(
    "name", ["words.tsv", "characters.tsv", "ledger.tsv", "tried.tsv", "meta.json"]
)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"{folder / name}: cannot be read (No such file" in message(Codebook.load, folder)


def test_a_missing_folder_says_how_to_make_one(tmp_path):
    missing = tmp_path / "no.taolu"
    expected = f"{missing}: no such codebook. `taolu learn TEXT` makes one."
    assert message(Codebook.load, missing) == expected


@pytest.mark.parametrize(
    ("name", "line", "old", "new", "rule"),
    [
        ("words.tsv", 1, b"count", b"counts", "the columns must be word, count"),
        ("words.tsv", 3, "𠮷\t2".encode(), "𠮷\tx".encode(), "'x' is not a number"),
        ("words.tsv", 3, "𠮷\t2".encode(), "𠮷\t2.5".encode(), "'2.5' is not a number"),
        ("words.tsv", 3, "𠮷\t2".encode(), "𠮷\t0".encode(), "at least 1. Received: '𠮷', 0"),
        ("words.tsv", 3, "𠮷\t2".encode(), b"\t2", "at least 1. Received: '', 2"),
        ("words.tsv", 3, "𠮷\t2".encode(), "𠮷 𠮷\t2".encode(), "a word without whitespace"),
        ("words.tsv", 3, "𠮷\t2".encode(), "𠮷".encode(), "needs 7 columns. Received: 6"),
        ("words.tsv", 4, b"\tyes\n", b"\tyes\tyes\n", "needs 7 columns. Received: 8"),
        ("words.tsv", 4, "自来水\t1".encode(), b"\n", "columns"),
        ("words.tsv", 3, "𠮷\t2".encode(), "𠮷\t".encode() + b"9" * 30, "is not a number"),
        ("characters.tsv", 5, "𠮷\t1".encode(), "𠮷\t".encode(), "'' is not a number"),
        ("characters.tsv", 1, b"character\tcount", b"", "the columns must be character, count"),
        ("ledger.tsv", 2, b"\t9.1\t", b"\tnine\t", "'nine' is not a number"),
        ("tried.tsv", 2, b"words\t2\t", b"words\t", "needs 5 columns. Received: 4"),
    ],
)
def test_a_damaged_table_is_reported_with_its_line(folder, name, line, old, new, rule):
    def change(data):
        head, found, tail = data.rpartition(old)
        assert found
        return head + new + tail

    damage(folder, name, change)
    text = message(Codebook.load, folder)
    assert text.startswith(f"{folder / name}, line {line}: ")
    assert rule in text


def test_a_table_cut_off_in_a_character_is_reported(folder):
    damage(folder, "words.tsv", lambda data: data[: data.index("自".encode()) + 1])
    assert message(Codebook.load, folder).startswith(f"{folder / 'words.tsv'}: not valid UTF-8")


@pytest.mark.parametrize(
    ("meta", "rule"),
    [
        ("{", "not valid JSON"),
        ("\xff", "not valid JSON"),
        ("[]", "not the description of a codebook"),
        ('{"format": 1, "kind": "taolu codebook"}', "not the description of a codebook"),
        ('{"format": 2, "kind": "taolu codebook", "sentences": 1}', "reads format 1. Received: "),
        ('{"kind": "taolu codebook", "sentences": 1}', "reads format 1. Received: format None"),
        (
            '{"format": 1, "kind": "taolu codebook", "sentences": 1, "passage": 3}',
            "not the description of a codebook",
        ),
    ],
)
def test_a_strange_description_is_reported(folder, meta, rule):
    (folder / "meta.json").write_bytes(meta.encode("latin-1"))
    text = message(Codebook.load, folder)
    assert text.startswith(f"{folder / 'meta.json'}: ")
    assert rule in text


# Saving over what is there


@pytest.mark.parametrize(
    "files",
    [{"thesis.tex": "three years"}, {"meta.json": '{"name": "another program"}'}, {}],
    ids=["files", "another meta.json", "empty"],
)
def test_a_folder_that_is_no_codebook_is_never_replaced(tmp_path, files):
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, content in files.items():
        (mine / name).write_text(content, encoding="utf-8")
    text = message(book("上海").save, mine)
    assert text.startswith(f"{mine}: exists and is no codebook, so it is left alone.")
    assert {path.name: path.read_text(encoding="utf-8") for path in mine.iterdir()} == files
    assert os.listdir(tmp_path) == ["mine"]  # noqa: PTH208


def test_a_file_is_never_replaced(tmp_path):
    (tmp_path / "novel.txt").write_text("上海", encoding="utf-8")
    assert "is no codebook" in message(book("上海").save, tmp_path / "novel.txt")
    assert (tmp_path / "novel.txt").read_text(encoding="utf-8") == "上海"


def test_an_older_codebook_is_replaced_whole(folder):
    (folder / "report.html").write_text("old", encoding="utf-8")
    book("新").save(folder)
    assert Codebook.load(folder).words.word == ("新",)
    assert not (folder / "report.html").exists(), "no file of the older codebook stays"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def fail_on_call(function, number, error):
    """The function, but its call of this number raises the error."""
    calls = iter(range(1, 1000))

    def failing(*arguments, **options):
        if next(calls) == number:
            raise error
        return function(*arguments, **options)

    return failing


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def assert_old_book_is_whole(folder):
    assert_same(Codebook.load(folder), book("上海", "𠮷", "自来水"))
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing else remains"


@pytest.mark.parametrize("call", [1, 2, 3, 4])
@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt(), ValueError()], ids=repr)
def test_a_failure_while_writing_leaves_the_old_codebook(folder, monkeypatch, call, error):
    monkeypatch.setattr(module, "write_table", fail_on_call(write_table, call, error))
    with pytest.raises(CodebookError if error is FULL else type(error)):
        book("新").save(folder)
    assert_old_book_is_whole(folder)


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=repr)
def test_a_failure_while_renaming_leaves_the_old_codebook(folder, monkeypatch, call, error):
    # Path.rename calls os.rename too.
    monkeypatch.setattr(os, "rename", fail_on_call(os.rename, call, error))
    with pytest.raises(CodebookError if error is FULL else KeyboardInterrupt):
        book("新").save(folder)
    monkeypatch.undo()
    assert_old_book_is_whole(folder)


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "write_table", fail_on_call(write_table, 2, FULL))
    path = tmp_path / "new.taolu"
    expected = rf"^{re.escape(str(path))}: cannot be written \(No space left on device\)\.$"
    with pytest.raises(CodebookError, match=expected):
        book("新").save(path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "cannot be written (" in message(book("新").save, tmp_path / "file" / "new.taolu")


def test_a_saved_folder_may_be_read_by_others(folder):
    assert Path(folder).stat().st_mode & 0o755 == 0o755
