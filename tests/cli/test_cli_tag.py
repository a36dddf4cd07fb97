"""`taolu train tag`, `predict` and `score --gold`, as a user meets them.

The verbs run in this process, through the function that the command calls, so that Keras is loaded
once and the network compiled once; one test runs the command itself.
"""

import gzip
import io
import json
import os
import random
import shutil
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import assert_fails, assert_works, run

from taolu import cli

TINY = ("--epochs", "2", "--width", "8", "--depth", "1", "--batch", "256", "--longest", "16")
TEXT = "我在北京\n\n去 上海买苹果。\n"


def sentences(count):
    """Lines of six characters: one width, so one program to compile."""
    draw = random.Random(0)
    pairs = [
        (draw.choice("我你他在去看"), draw.choice(("苹果", "香蕉", "北京")))
        for _ in range(2 * count)
    ]
    return [" ".join(first + second) for first, second in zip(pairs[::2], pairs[1::2], strict=True)]


def here(*arguments, stdin=b""):
    """Runs the command in this process; what came of it, as `run` tells it."""
    data = stdin if isinstance(stdin, bytes) else stdin.encode()
    with pytest.MonkeyPatch.context() as patch:
        streams = {name: io.TextIOWrapper(io.BytesIO(), "utf-8") for name in ("stdout", "stderr")}
        streams["stdin"] = io.TextIOWrapper(io.BytesIO(data), "utf-8")
        patch.setattr(sys, "argv", ["taolu", *map(str, arguments)])
        for name, stream in streams.items():
            patch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        for stream in streams.values():
            stream.flush()
    found = {name: stream.buffer.getvalue() for name, stream in streams.items()}
    return SimpleNamespace(returncode=ended.value.code, **found)


@pytest.fixture(scope="module", autouse=True)
def one_network():
    """Loads each network once, however often its folder is read: it stays compiled."""
    keras = pytest.importorskip("keras")
    real = keras.saving.load_model
    known = cache(lambda data, path, compile: real(path, compile=compile))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            keras.saving,
            "load_model",
            lambda path, compile=True: known(Path(path).read_bytes(), path, compile),
        )
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a tagger of words, and what was printed; nobody may change it."""
    folder = tmp_path_factory.mktemp("tagger")
    words = folder / "words.txt"
    words.write_text("\n".join(sentences(40)) + "\n", encoding="utf-8")
    # With nothing to resume, --resume begins.
    done = here("train", "tag", words, "-o", folder / "m", *TINY, "--resume")
    assert done.returncode == 0, done.stderr.decode()
    assert sorted(path.name for path in folder.iterdir()) == ["m", "words.txt"]
    return SimpleNamespace(folder=folder, words=words, model=folder / "m", done=done)


@pytest.fixture(scope="module")
def entities(trained):
    """A tagger that takes every word for a place."""
    folder = trained.folder.parent / "entities"
    shutil.copytree(trained.model, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["target"] |= {"labels": ["LOC"], "covers": False}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predicted(*arguments, **options):
    return assert_works(here("predict", *arguments, **options))


def without_spaces(text):
    return "".join(character for character in text if character not in " \r")


# train


def test_training_prints_how_it_went_and_what_to_do_next(trained):
    out, progress = trained.done.stdout.decode(), trained.done.stderr.decode().splitlines()
    assert progress[0].endswith(
        "words.txt: words between spaces; 40 sentences; 240 characters; 160 words"
    )
    assert [line.split(":")[0] for line in progress[1:]] == ["epoch 1", "epoch 2"]
    assert "best" in out
    assert "words" in out
    assert "all words are in the training text\n" in out
    assert out.endswith(f"\nnext: taolu predict {trained.model} TEXT\n")


def test_a_model_is_a_folder_of_readable_files(trained):
    files = {path.name for path in trained.model.iterdir()}
    assert files == {
        "config.json",
        "metrics.json",
        "model.keras",
        "report.html",
        "vocabulary.json",
        "words.txt",
    }
    metrics = json.loads((trained.model / "metrics.json").read_text(encoding="utf-8"))
    assert len(metrics["epochs"]) == 2
    words = (trained.model / "words.txt").read_text(encoding="utf-8").split()
    learned = set(trained.words.read_text(encoding="utf-8").split())
    assert set(words) <= learned
    assert words == sorted(words)


def bio(*changes):
    """Lines of columns, some of them changed: (number, line)."""
    lines = ["在 O", "北 B-LOC", "京 I-LOC", "好 O", ""] * 200
    for number, line in changes:
        lines[number - 1] = line
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bio((812, "北")), "a.txt, line 812: a tag column is missing: 1 of 2 columns"),
        (bio((812, "北 x O")), "a.txt, line 812: 3 columns, where other lines have 2"),
        (bio((812, "北 I-LOC")), "a.txt, line 812: I-LOC without its B-LOC"),
        (bio((812, "北 Q-LOC")), "a.txt, line 812: the tag is none of BIO"),
        ("", "a.txt: holds no labelled sentence"),
        ("\n \n", "a.txt: holds no labelled sentence"),
        ("没有空格\n", "a.txt, line 1: neither columns with tags, nor words between spaces"),
        (b"\xff\n", "a.txt, line 1: not valid UTF-8"),
        ('{"text": "好"}\n', "a.txt, line 1: no record holds spans"),
    ],
)
def test_data_that_is_refused_names_the_line(inside, data, message):
    (inside / "a.txt").write_bytes(data if isinstance(data, bytes) else data.encode())
    assert_fails(here("train", "tag", "a.txt", "-o", "m", *TINY), message)
    assert os.listdir() == ["a.txt"]  # noqa: PTH208


def refused(done, *parts, code=1):
    """As `assert_fails`, but behind the line about the data; returns the message."""
    *_, message = done.stderr.decode().splitlines(keepends=True)
    assert_fails(SimpleNamespace(**{**vars(done), "stderr": message.encode()}), *parts, code=code)
    assert "Traceback" not in done.stderr.decode()
    return message


def test_broken_rules_are_repaired_where_the_user_wants_it(inside):
    (inside / "a.bio").write_text(bio((812, "北 I-LOC")), encoding="utf-8")
    done = here("train", "tag", "a.bio", "-o", "a.bio", *TINY, "--repair")
    refused(done, "a.bio: exists already")
    told = "1 broken rules repaired (a.bio, line 812: I-LOC without its B-LOC)"
    assert told in done.stderr.decode()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "taken"], "taken: exists already. Remove it, or name another folder (-o)."),
        (["--with", "taken"], "taken/meta.json: cannot be read"),
        (["--with", "no"], "no: no such codebook. `taolu learn TEXT` makes one."),
        (["--mixed"], "--with"),
        (["--head", "lstm"], "`head` must be one of softmax, memm, bi-memm, crf, pointer"),
        (["--encoder", "bert"], "`encoder` must be one of convolution, recurrent, transformer"),
        (["--scheme", "BOI"], "`scheme` must be one of BMES, BIO"),
        (["--dropout", "1"], "`dropout` must lie in [0, 1)"),
        (["--learning-rate", "0"], "must be positive"),
        (["--vectors", "no.npz"], "no.npz: cannot be read (No such file or directory)."),
        (["--vectors", "words.txt"], "words.txt, line 1: must be a word and"),
        (["--dev", "no.txt"], "no.txt: no such file or folder"),
        (["--dev", "empty.txt"], "empty.txt: holds no labelled sentence"),
        (["--encoding", "klingon"], "`encoding` must name a text encoding"),
        (["--encoding", "utf-16"], "words.txt, line 1: not valid UTF-16"),
    ],
)
def test_options_that_do_not_fit(inside, trained, options, message):
    shutil.copy(trained.words, "words.txt")
    (inside / "empty.txt").touch()
    (inside / "taken").mkdir()
    done = here("train", "tag", "words.txt", *TINY, *options)
    refused(done, message, code=done.returncode)
    assert done.returncode in (1, 2)
    assert sorted(os.listdir()) == ["empty.txt", "taken", "words.txt"]  # noqa: PTH208


@pytest.mark.parametrize(
    "options",
    [["--width", "0"], ["--longest", "3"], ["--epochs", "x"], ["--seed", "-1"], ["--nonsense"]],
)
def test_options_that_are_misspelled(inside, options):
    done = here("train", "tag", "words.txt", *TINY, *options)
    assert_fails(done, options[0], "`taolu train tag --help` shows how.", code=2)


def test_an_unfinished_training_is_not_thrown_away(inside, trained):
    (inside / "m.partial").mkdir()
    (inside / "m.partial" / "state.json").write_text("{}", encoding="utf-8")
    done = here("train", "tag", trained.words, "-o", "m", *TINY)
    refused(done, "m.partial: a training that was not finished lies there", "--resume")
    assert (inside / "m.partial" / "state.json").read_text(encoding="utf-8") == "{}"
    done = here("predict", "m", stdin="好")
    assert_fails(done, "m: there is no such model folder", "--resume (m.partial)")


def test_a_codebook_is_no_tagger_and_a_tagger_no_codebook(inside, trained):
    (inside / "book").mkdir()
    (inside / "book" / "meta.json").write_text("{}", encoding="utf-8")
    assert_fails(
        here("predict", "book", stdin="好"), "book: no model folder, config.json is missing"
    )
    assert_fails(here("cut", trained.words, "--with", trained.model), "m/meta.json: cannot be read")


# predict


def test_text_comes_out_as_words(inside, trained):
    (inside / "a.txt").write_text(TEXT, encoding="utf-8")
    out = predicted(trained.model, "a.txt")
    assert without_spaces(out) == without_spaces(TEXT)
    assert out.split("\n")[1] == ""
    assert out.split("\n")[2].split()[0] == "去", "whitespace is a boundary"
    assert predicted(trained.model, stdin=TEXT) == out
    assert predicted(trained.model, "-", stdin=TEXT.replace("\n", "\r\n")) == out
    assert predicted(trained.model, stdin=TEXT.removesuffix("\n")) == out
    (inside / "a.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert predicted(trained.model, "a.txt.gz") == out
    (inside / "texts").mkdir()
    for name in ("b.txt", "c.txt"):
        shutil.copy("a.txt", inside / "texts" / name)
    assert predicted(trained.model, "texts") == out + out


@pytest.mark.parametrize("text", ["", "\n", "\n\n\r\n"])
def test_nothing_comes_out_as_nothing(trained, entities, text):
    assert predicted(trained.model, stdin=text) == text.replace("\r", "")
    records = predicted(entities, stdin=text).splitlines()
    assert [json.loads(record)["entities"] for record in records] == [[]] * text.count("\n")


def test_nothing_of_a_long_text_is_lost(trained):
    draw = random.Random(1)
    lines = [
        "".join(draw.choices("我在北京看苹果，x５㎏é\u0301", k=size)) for size in (15, 16, 17, 150)
    ]
    out = predicted(trained.model, stdin="\n".join(lines))
    assert [line.replace(" ", "") for line in out.splitlines()] == lines


def test_a_novel_whose_first_line_is_one_character_is_text(trained):
    text = "序\n我在北京\n他去看苹果 我看香蕉\n"
    assert without_spaces(predicted(trained.model, stdin=text)) == without_spaces(text)


def test_columns_come_out_as_columns(inside, trained):
    (inside / "a.bio").write_text("我 x\n在 x\n北 x\n京 x\n\n好 x", encoding="utf-8")
    out = predicted(trained.model, "a.bio", "--from", "columns")
    rows = [line.split(" ") for line in out.removesuffix("\n").split("\n")]
    assert [row[:2] for row in rows] == [
        [c, "x"] if c else [""] for c in ["我", *"在北京", "", "好"]
    ] + [[""]]
    assert {row[2] for row in rows if len(row) > 1} <= set("BMES")
    plain = "我\n在\n北\n京\n\n好\n"
    assert predicted(trained.model, stdin=plain) == out.replace(" x", "")
    words = predicted(trained.model, "--to", "text", stdin=plain)
    assert without_spaces(words) == "我在北京\n好\n"
    assert predicted(trained.model, "--from", "text", stdin=plain) == plain


def test_records_come_out_as_records(trained, entities):
    text = '{"id": 1, "text": "我在北京"}\n\n{"text": "", "id": 2}\n'
    for model, label in ((trained.model, None), (entities, "LOC")):
        records = [json.loads(line) for line in predicted(model, stdin=text).splitlines()]
        assert [list(record) for record in records] == [
            ["id", "text", "entities"],
            ["text", "id", "entities"],
        ]
        first = records[0]
        assert "".join(entity["text"] for entity in first["entities"]) == "我在北京"
        for entity in first["entities"]:
            assert first["text"][entity["start"] : entity["end"]] == entity["text"]
            assert entity.get("label") == label
        assert records[1]["entities"] == []


def test_entities_of_text_come_out_as_records_or_columns(entities):
    record = json.loads(predicted(entities, stdin="看　Ａ㎏ 好"))
    assert record["text"] == "看　Ａ㎏ 好"
    for entity in record["entities"]:
        assert record["text"][entity["start"] : entity["end"]] == entity["text"]
    out = predicted(entities, "--to", "columns", stdin="我在\n")
    assert [line.split(" ")[0] for line in out.split("\n")] == ["我", "在", "", ""]
    done = here("predict", entities, "--to", "text", stdin="我")
    assert_fails(done, "--to", "entities come out as json or columns", code=2)


def test_other_encodings(inside, trained):
    (inside / "a.txt").write_bytes(TEXT.encode("gb18030"))
    out = predicted(trained.model, "a.txt", "--encoding", "gb18030")
    assert out == predicted(trained.model, stdin=TEXT)
    assert_fails(
        here("predict", trained.model, "a.txt"), "a.txt, line 1: not valid UTF-8", "gb18030"
    )
    done = here("predict", trained.model, stdin=b"\xe5\xa5\xbd\n\xff\n")
    assert_fails(done, "<stdin>, line 2: not valid UTF-8")


@pytest.mark.parametrize(
    ("options", "text", "code", "message"),
    [
        (["--to", "xml"], "好", 2, "Invalid value for --to: 'xml' is none of text, columns, json"),
        (["--from", "xml"], "好", 2, "Invalid value for --from: 'xml' is none of"),
        (["--max-line", "x"], "好", 2, "--max-line: 'x' is no size"),
        (["--max-line", "10"], "好" * 9, 1, "<stdin>, line 1: longer than"),
        (["--from", "json"], "好", 1, "<stdin>, line 1: not valid JSON"),
        ([], '{"text": "好"}\n{"id": 1}\n', 1, "<stdin>, line 2: the record has no text"),
        ([], '{"text": "好"}\n{"id\n', 1, "<stdin>, line 2: not valid JSON"),
        (["no.txt"], "", 1, "no.txt: no such file or folder"),
    ],
)
def test_input_that_is_refused(trained, options, text, code, message):
    done = here("predict", trained.model, *options, stdin=text)
    assert_fails(done, message, code=code)


@pytest.mark.parametrize("block_bytes", [4, 7, 30, 1 << 18])
@pytest.mark.parametrize("form", ["columns", "text", "json"])
def test_how_much_is_read_at_once_changes_nothing(inside, block_bytes, form):
    from taolu.cli.predict import _whole_texts
    from taolu.tasks.tag_lines import read_items
    from taolu.text.corpus import Corpus

    text = {
        "columns": "\n\n我 O\n在 O\n北 O\n京 O\n\n\n好 O\n的 O\n-DOCSTART- O\n看 O\n香 O\n蕉 O",
        "text": "\n我在北京\n\n好的\n看\n",
        "json": '\n{"text": "我在北京"}\n{"text": "好的"}\n\n{"text": "看"}\n',
    }[form]
    for name in ("a.txt", "b.txt"):
        (inside / name).write_text(text, encoding="utf-8")
    blocks = Corpus(("a.txt", "b.txt")).blocks(block_bytes)
    items, forms = [], set()
    for lines, found in _whole_texts(blocks, form):
        items += read_items(lines, found)
        forms.add(found)
    whole = ["我在北京", "好的", "看香蕉"] if form == "columns" else ["我在北京", "好的", "看"]
    if form == "text":
        whole = ["", "我在北京", "", "好的", "看"]
    assert [item.text for item in items] == whole * 2
    assert forms == {form}
    lines = {"columns": [3, 9, 12], "text": [1, 2, 3, 4, 5], "json": [2, 3, 5]}[form]
    assert [(item.line.path, item.line.number) for item in items] == [
        (name, line) for name in ("a.txt", "b.txt") for line in lines
    ]


# Folders that are no model, or no more


@pytest.mark.parametrize("name", ["nothing", "file"])
def test_there_must_be_a_model(inside, name):
    (inside / "file").touch()
    assert_fails(here("predict", name, stdin="好"), f"{name}: there is no such model folder")


def change(path, old, new):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: (m / "config.json").unlink(), "m: no model folder, config.json is missing"),
        (lambda m: (m / "config.json").write_text("{no"), "m/config.json: not valid JSON"),
        (lambda m: (m / "config.json").write_bytes(b"\xff"), "m/config.json: not valid JSON"),
        (lambda m: (m / "config.json").write_text("[]"), "m/config.json: does not describe a"),
        (
            lambda m: change(m / "config.json", b'"format": 1', b'"format": 2'),
            "m: format 2 is not format 1, which this version of taolu reads.",
        ),
        (lambda m: (m / "model.keras").unlink(), "m: the file model.keras is missing."),
        (lambda m: (m / "vocabulary.json").unlink(), "m: the file vocabulary.json is missing."),
        (lambda m: (m / "words.txt").unlink(), "m: the file words.txt is missing."),
        (lambda m: flip(m / "model.keras"), "m/model.keras: has changed since the model was"),
        (lambda m: flip(m / "vocabulary.json"), "m/vocabulary.json: has changed since"),
        (lambda m: flip(m / "words.txt"), "m/words.txt: has changed since the model was saved"),
    ],
)
def test_a_damaged_model_says_what_is_wrong(inside, trained, damage, message):
    shutil.copytree(trained.model, "m")
    damage(inside / "m")
    assert_fails(here("predict", "m", stdin="好"), message)
    assert_fails(here("score", trained.words, "--with", "m", "--gold"), message)


# score


def test_scores_on_gold_words_are_those_of_the_words_cut(trained):
    out = assert_works(here("score", trained.words, "--with", trained.model, "--gold"))
    gold = trained.words.read_text(encoding="utf-8").splitlines()
    cut = predicted(trained.model, stdin="\n".join(line.replace(" ", "") for line in gold))
    hits = found = wanted = exact = 0
    for right, line in zip(gold, cut.splitlines(), strict=True):
        ends = [set(), set()]
        for places, words in zip(ends, (right.split(), line.split()), strict=True):
            at = 0
            for word in words:
                places.add((at, at + len(word)))
                at += len(word)
        hits, wanted, found = (
            hits + len(ends[0] & ends[1]),
            wanted + len(ends[0]),
            found + len(ends[1]),
        )
        exact += ends[0] == ends[1]
    row = next(line for line in out.splitlines() if "words │" in line)
    shares = [hits / found, hits / wanted, 2 * hits / (found + wanted)]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["words", *(f"{share:.4f}" for share in shares), str(wanted), str(found)]
    assert out.endswith(f"{exact} of 40 sentences without a mistake\n")


def test_scores_of_entities_have_a_row_for_each_label(inside, entities):
    (inside / "a.bio").write_text(bio(), encoding="utf-8")
    out = assert_works(here("score", "a.bio", "--with", entities, "--gold"))
    rows = [line.strip("│").split("│")[0].strip() for line in out.splitlines() if line[0] == "│"]
    assert rows == ["LOC", "all"]
    assert "training text" not in out
    done = here("score", "a.bio", "--with", entities)
    assert_fails(done, "--with", "it scores with --gold", code=2)
    (inside / "b.bio").write_text(bio((812, "北 I-LOC")), encoding="utf-8")
    done = here("score", "b.bio", "--with", entities, "--gold")
    assert_fails(done, "b.bio, line 812: I-LOC without its B-LOC", "--repair")
    assert_works(here("score", "b.bio", "--with", entities, "--gold", "--repair"))
    (inside / "empty").touch()
    done = here("score", "empty", "--with", entities, "--gold")
    assert_fails(done, "empty: holds no labelled sentence")
    done = here("score", "a.bio", "--with", "no.model", "--gold")
    assert_fails(done, "no.model: no such")


def test_says_which_labels_of_the_gold_a_model_cannot_find(inside, entities):
    (inside / "c.bio").write_text(bio().replace("LOC", "GPE", 4), encoding="utf-8")
    done = here("score", "c.bio", "--with", entities, "--gold")
    assert done.returncode == 0
    warning = f"taolu: {entities} does not know GPE: it finds none of these spans.\n"
    assert done.stderr.decode() == warning
    assert "GPE" in done.stdout.decode()


# The command itself


def test_the_command_reads_a_pipe(trained):
    done = run("predict", trained.model, stdin=TEXT)
    assert without_spaces(assert_works(done)) == without_spaces(TEXT)
