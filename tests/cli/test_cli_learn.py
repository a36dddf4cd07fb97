"""`taolu learn`: what it writes, where, and what it leaves alone."""

import gzip
import json

import command
from command import assert_fails, assert_works, run, sentences

text, book = command.text, command.book

TABLES = {"characters.tsv", "groups.tsv", "ledger.tsv", "tried.tsv", "words.tsv"}
FILES = TABLES | {"meta.json", "report.html", "vectors.npz"}


def files(folder):
    return {path.name for path in folder.iterdir()}


def test_a_codebook_is_a_folder_of_readable_files(book):
    assert files(book) >= FILES
    ledger = (book / "ledger.tsv").read_text(encoding="utf-8").splitlines()
    assert ledger[0] == "step\tlearned\ttext\tcodebook\ttotal"
    assert ledger[1].startswith("characters\t")
    words = (book / "words.tsv").read_text(encoding="utf-8").splitlines()
    names = ["word", "count", "cohesion", "left_entropy", "right_entropy", "saved_bits", "known"]
    assert words[0].split("\t") == names
    assert {"天安门", "苹果"} <= {line.split("\t")[0] for line in words}
    assert (book / "tried.tsv").read_text(encoding="utf-8").splitlines()[0] == ledger[0]


def test_learn_prints_the_ledger_the_words_and_what_to_do_next(tmp_path, text):
    out = assert_works(run("learn", text, "-o", tmp_path / "deep" / "b", "--no-report"))
    assert "ledger 账本: bits per character" in out
    assert "天安门" in out
    assert "groups 词群" in out
    assert out.endswith(f"next: taolu cut TEXT --with {tmp_path}/deep/b\n")
    assert files(tmp_path / "deep" / "b") == FILES - {"report.html"}


def test_the_codebook_is_named_after_the_text_and_replaced_by_the_next(tmp_path):
    novel = tmp_path / "novel.txt.gz"
    novel.write_bytes(gzip.compress("\n".join(sentences(40)).encode()))
    assert_works(run("learn", "novel.txt.gz", "--no-report", cwd=tmp_path))
    novel.write_bytes(gzip.compress("\n".join(sentences(60)).encode()))
    assert_works(run("learn", "novel.txt.gz", "--no-report", cwd=tmp_path))
    meta = json.loads((tmp_path / "novel.taolu" / "meta.json").read_text(encoding="utf-8"))
    assert meta["sources"] == ["novel.txt.gz"]
    assert meta["sentences"] == 60
    assert files(tmp_path) == {"novel.txt.gz", "novel.taolu"}


def test_a_folder_gives_a_codebook_beside_it(tmp_path):
    (tmp_path / "news").mkdir()
    for name in ("a.txt", "b.md"):
        (tmp_path / "news" / name).write_text("\n".join(sentences(30)), encoding="utf-8")
    assert_works(run("learn", ".", "--no-report", cwd=tmp_path / "news"))
    assert files(tmp_path) == {"news", "news.taolu"}


def test_standard_input_gives_stdin_taolu_and_leaves_no_copy(tmp_path):
    (tmp_path / "scratch").mkdir()
    lines = "\n".join(sentences(30))
    done = run("learn", "-", cwd=tmp_path, stdin=lines, env={"TMPDIR": tmp_path / "scratch"})
    assert_works(done)
    meta = json.loads((tmp_path / "stdin.taolu" / "meta.json").read_text(encoding="utf-8"))
    assert meta["sources"] == ["<stdin>"]
    assert files(tmp_path / "scratch") == set()


def test_known_words_are_marked(tmp_path, text):
    (tmp_path / "known.txt").write_text("苹果 3 n\n香蕉\n", encoding="utf-8")
    out = assert_works(
        run("learn", text, "--known", tmp_path / "known.txt", "-o", tmp_path / "b", "--no-report")
    )
    assert "known" in out
    rows = (tmp_path / "b" / "words.tsv").read_text(encoding="utf-8").splitlines()[1:]
    known = {row.split("\t")[0] for row in rows if row.endswith("\tyes")}
    assert known == {"苹果", "香蕉"}


def test_a_folder_that_is_no_codebook_is_left_alone_before_the_work_starts(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "keep.txt").write_text("x", encoding="utf-8")
    # The text does not exist: the name of the output is looked at first.
    done = run("learn", "nothing.txt", "-o", "mine", cwd=tmp_path)
    assert_fails(done, "mine: exists and is no codebook", "(-o)")
    assert files(tmp_path / "mine") == {"keep.txt"}


def test_an_output_below_a_file_is_refused_before_the_work_starts(tmp_path, text):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    done = run("learn", "nothing.txt", "-o", tmp_path / "file" / "b")
    assert_fails(done, "cannot be written", "takes no new files")
