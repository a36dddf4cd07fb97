"""Templates, parses and nearest words, as `taolu learn` and `taolu show` tell them."""

import random
import re

import command
import pytest
from command import SINGLES, WORDS, assert_fails, assert_works, run

text, book = command.text, command.book


def talk_lines(count, seed=0):
    """Lines of which the most are spoken: `某道：“某！”`."""
    draw = random.Random(seed)

    def some():
        return "".join(
            draw.choice(draw.choice((WORDS, SINGLES))) for _ in range(draw.randint(1, 3))
        )

    return [
        f"{some()}道：“{some()}！”" if draw.random() < 0.6 else f"{some()}。" for _ in range(count)
    ]


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """A codebook with templates, and what learning it printed."""
    folder = tmp_path_factory.mktemp("talk")
    (folder / "talk.txt").write_text("\n".join(talk_lines(500)), encoding="utf-8")
    return folder / "talk.taolu", assert_works(run("learn", "talk.txt", cwd=folder))


def test_learn_prints_templates_and_names_their_file(talk):
    folder, out = talk
    table = out.split("templates 模版: ")[1].split("groups 词群")[0]
    row = next(line for line in table.splitlines() if "道 ： “ [X] ！" in line)
    _, template, uses, fillers, _ = (cell.strip() for cell in row.split("│"))
    lines = (folder / "templates.tsv").read_text(encoding="utf-8").splitlines()
    saved = dict(line.split("\t", 1) for line in lines)
    assert saved[template] == f"{uses}\t{saved[template].split(chr(9))[1]}"
    assert set(fillers.split()) <= set(WORDS) | set(SINGLES)
    names = out.splitlines()[-2].split()
    assert {"words.tsv", "templates.tsv", "groups.tsv", "vectors.npz"} <= set(names)
    assert all((folder / name).is_file() for name in names[1:])


def test_show_prints_templates_too(talk):
    out = assert_works(run("show", talk[0], "--top", 1))
    assert re.search(r"templates 模版: \d+, by their uses\n", out)


def test_a_sentence_is_drawn_as_a_tree_in_its_cheapest_ways(talk):
    out = assert_works(run("show", talk[0], "--parse", "我道：“北京好！”", "--ways", 2))
    bits = [float(line.split()[0]) for line in out.splitlines() if "word by word" in line]
    alone = {line.split()[2] for line in out.splitlines() if "word by word" in line}
    assert len(alone) == 1
    assert bits[0] <= float(alone.pop())
    assert len(bits) == 2
    assert bits[0] < bits[1]
    first = out.splitlines()[1:5]
    assert first == ["├── 我", "├── 道 ： “ [X] ！", "│   └── 北京 好", "└── ”"]


def test_near_prints_similar_words_and_suggests_others(talk):
    out = assert_works(run("show", talk[0], "--near", "苹果", "--top", 3))
    rows = [line.split("│") for line in out.splitlines() if line.startswith("│")]
    cosines = [float(row[2]) for row in rows]
    assert len(rows) == 3
    assert cosines == sorted(cosines, reverse=True)
    assert "苹果" not in [row[1].strip() for row in rows]
    assert_fails(
        run("show", talk[0], "--near", "苹果树"), "No vector for '苹果树'. Like it: '苹果'"
    )


def test_a_book_without_them_says_why_and_what_to_do(book, tmp_path):
    none = "holds no templates, as none saved what it costs. More text may have some."
    assert_fails(run("show", book, "--parse", "我吃苹果"), none)
    # As a book was before there were vectors.
    meta = (book / "meta.json").read_text(encoding="utf-8")
    (tmp_path / "OLD").mkdir()
    for path in book.glob("*.tsv"):
        (tmp_path / "OLD" / path.name).write_bytes(path.read_bytes())
    meta = re.sub(r'"vectors": \{[^}]*\},', "", meta)
    (tmp_path / "OLD" / "meta.json").write_text(meta, encoding="utf-8")
    old = "holds no vectors. `taolu learn TEXT -o OLD` again makes them."
    assert_fails(run("show", "OLD", "--near", "苹果", cwd=tmp_path), old)


def test_sentences_that_are_none_are_told(talk):
    assert_fails(run("show", talk[0], "--parse", " "), "1 to 200 words. Received: 0 words.")
