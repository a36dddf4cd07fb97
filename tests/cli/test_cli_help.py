"""What the command line says about itself: help, wrong words, the manual, tables."""

import json
import re
import subprocess
import sys

import command
import pytest
from command import assert_fails, assert_works, environment, run

text, book = command.text, command.book

VERBS = ("learn", "cut", "group", "show", "score", "train", "predict", "guide")
TASKS = ("tag",)
ESCAPE = "\x1b"


@pytest.mark.parametrize(
    "verb", [*(verb for verb in VERBS if verb != "train"), *(f"train {task}" for task in TASKS)]
)
def test_the_help_of_every_verb_shows_examples(verb):
    out = assert_works(run(*verb.split(), "--help"))
    assert out.startswith(f"Usage: taolu {verb} ")
    examples = out.split("Examples:\n")[1].split("\n\n")[0].splitlines()
    assert len(examples) >= 2
    assert sum(f"taolu {verb}" in line for line in examples) >= 2
    assert max(map(len, out.splitlines())) <= 80


def test_help_names_every_verb_and_says_each_in_full():
    out = assert_works(run("--help"))
    assert out == assert_works(run())
    for verb in VERBS:
        assert re.search(rf"^  {verb} +[A-Z].*\.$", out, re.MULTILINE)
    assert "..." not in out.split("Commands:")[1]
    assert assert_works(run("--version")).startswith("taolu 0.")


def test_help_loads_nothing_heavy():
    code = "import sys\nfrom taolu.cli import app\napp(['--help'], standalone_mode=False)\n"
    code += "print(sorted({name.split('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(), capture_output=True, timeout=60)
    loaded = set(eval(assert_works(done).splitlines()[-1]))
    assert loaded & {"numba", "numpy", "scipy", "plotly", "rich", "keras", "jax"} == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lern"], "No such command 'lern'"),
        (["learn", "--workrs", "2"], "No such option"),
        (["learn", "--workers", "0"], "--workers"),
        (["learn", "--max-length", "1"], "--max-length"),
        (["learn", "--margin", "-1"], "--margin"),
        (["learn", "--memory", "much"], "--memory: 'much' is no size"),
        (["cut", "--max-line", "0", "--with", "x"], "--max-line: '0' is no size"),
        (["cut", "a.txt"], "--with: name a codebook; `taolu learn TEXT` makes one."),
        (["cut", "--with", "x", "--json", "--tags"], "choose one of --json and --tags"),
        (["score", "a.txt"], "--with: name a codebook"),
        (["show"], "Missing argument 'BOOK'"),
        (["show", "x", "--near", "a", "--parse", "b"], "choose one of --near and --parse"),
        (["show", "x", "--ways", "2"], "--ways: goes with --parse"),
        (["guide", "R99"], "no page for 'R99'"),
    ],
)
def test_a_command_that_is_not_understood_says_where_to_look(arguments, message):
    done = run(*arguments)
    verb = "" if arguments[0] == "lern" else f" {arguments[0]}"
    assert_fails(done, message, f" `taolu{verb} --help` shows how.\n", code=2)


def test_the_guide_lists_its_pages_and_prints_one_by_number_or_word():
    table = assert_works(run("guide"))
    assert len(re.findall(r"R\d\d", table)) >= 32
    page = assert_works(run("guide", "R07"))
    assert page.startswith("# R07 ")
    assert assert_works(run("guide", "7")) == page
    several = assert_works(run("guide", "crf"))
    assert {"R07", "R18"} <= set(re.findall(r"R\d\d", several))


def rows(table):
    """The cells of the rows of a printed table."""
    lines = [line for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_show_prints_the_ledger_and_the_words_chosen(book):
    out = assert_works(run("show", book, "--top", 2))
    ledger, words = out.split("words 词\n")
    assert ledger.startswith("ledger 账本: bits per character\n")
    assert rows(ledger)[0][0] == "characters"
    words, groups = words.split("groups 词群: 3, by their share of the text\n")
    assert len(rows(words)) == 2
    assert [row[1:] for row in rows(groups)] == [["9", "42.9%"], ["20", "42.9%"]]
    found = assert_works(run("show", book, "--search", "天"))
    assert {row[0] for row in rows(found.split("words 词\n")[1])} == {"天安门"}
    # No dictionary was known, so every word is new.
    new = assert_works(run("show", book, "--new", "--top", 2))
    assert new == out.split("groups 词群")[0]


def test_numbers_stand_right_in_columns_of_one_width(book):
    table = assert_works(run("show", book)).split("words 词\n")[1].split("groups 词群")[0]
    lines = [line.split("│") for line in table.splitlines() if line.startswith("│")]
    assert len({tuple(map(len, line[2:])) for line in lines}) == 1
    assert all(cell.endswith(" ") and cell[-2] != " " for line in lines for cell in line[2:6])


def test_show_exports_words_for_other_tools(book, tmp_path):
    for name in ("w.txt", "w.csv", "w.json"):
        out = assert_works(run("show", book, "--search", "果", "--export", tmp_path / name))
        assert out.endswith(" words\n")
    word, count = (tmp_path / "w.txt").read_text(encoding="utf-8").split("\n")[0].split(" ")
    table = (tmp_path / "w.csv").read_text(encoding="utf-8").splitlines()
    objects = json.loads((tmp_path / "w.json").read_text(encoding="utf-8"))
    assert word == table[1].split(",")[0] == objects[0]["word"] == "苹果"
    assert int(count) == int(table[1].split(",")[1]) == objects[0]["count"]


def test_score_compares_codebooks_in_bits_and_with_gold(book, tmp_path):
    (tmp_path / "[bold].txt").write_text("我去天安门。\n你吃苹果！\n", encoding="utf-8")
    (tmp_path / "gold.txt").write_text("我 去 天安门 。\n\n你 吃苹果 ！\n", encoding="utf-8")
    out = assert_works(run("score", "[bold].txt", "--with", book, cwd=tmp_path))
    assert out.startswith("[bold].txt: held-out bits per character\n")
    bits = {row[0]: float(row[1]) for row in rows(out)}
    assert 0 < bits[str(book)] < bits["characters"]
    assert out.endswith("11 characters, 2 sentences\n")
    out = assert_works(run("score", "gold.txt", "--with", book, "--gold", cwd=tmp_path))
    # 7 gold words, 8 cut, 6 agree.
    assert rows(out) == [[str(book), "0.7500", "0.8571", "0.8000"]]
    assert out.endswith("7 words, 2 lines\n")


@pytest.mark.parametrize("columns", [30, 50])
def test_nothing_is_cut_off_where_there_is_little_room(book, columns):
    out = assert_works(run("show", book, "--top", 3, env={"COLUMNS": columns}))
    assert "ledger 账本: bits per character\n" in out
    assert "…" not in out
    wide = rows(assert_works(run("show", book, "--top", 3)))
    digits = sorted(re.findall(r"\d", "".join(map("".join, wide))))
    assert sorted(re.findall(r"\d", "".join(map("".join, rows(out))))) == digits


def test_a_file_gets_no_colours_and_no_progress(book, text, tmp_path):
    done = run("learn", text, "-o", tmp_path / "b")
    for out in (assert_works(done), assert_works(run("show", book)), assert_works(run("guide"))):
        assert ESCAPE not in out


def test_an_output_that_knows_only_ascii_gets_marks(book):
    done = run("show", book, "--top", 1, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0
    assert b"ledger ??: bits per character" in done.stdout
