"""`taolu cut`: one line out for each line in, nothing lost but whitespace."""

import gzip
import json
import subprocess

import command
import pytest
from command import COMMAND, assert_fails, assert_works, environment, run, sentences

text, book = command.text, command.book

LINES = [
    "我买苹果。",
    "",
    "  \t ",
    "　他去 北京大观园！\r",
    "iPhone15 涨3.5%，𠮷",
    "e\u0301苹果\ufffd\ufa0f",
    "火车站",
]


def cut(book, text, *options):
    return assert_works(run("cut", "--with", book, *options, stdin=text))


def test_words_come_out_one_space_apart_line_for_line(book):
    out = cut(book, "\n".join(LINES))
    assert out.endswith("\n")
    lines = out.removesuffix("\n").split("\n")
    assert lines[:5] == [
        "我 买 苹果 。",
        "",
        "",
        "他 去 北京 大观园 ！",
        "iPhone15 涨 3.5% ， 𠮷",
    ]
    assert len(lines) == len(LINES)
    for line, given in zip(lines, LINES, strict=True):
        assert line.split(" ") == line.split() or not line
        assert line.replace(" ", "") == "".join(given.split())


@pytest.mark.parametrize("given", ["", "\n", "\n\n", "苹果", "苹果\n", "\n苹果\n\n", " "])
def test_as_many_lines_come_out_as_go_in(book, given):
    lines = given.removesuffix("\n").split("\n") if given else []
    out = cut(book, given)
    assert out.count("\n") == len(lines)
    assert [line.replace(" ", "") for line in out.splitlines()] == [x.strip() for x in lines]


def test_json_gives_offsets_into_the_original_line(book):
    out = cut(book, "\n".join(LINES), "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == len(LINES)
    assert rows[0]["words"][2] == {"word": "苹果", "start": 2, "end": 4}
    for row, line in zip(rows, LINES, strict=True):
        assert all(line[w["start"] : w["end"]] == w["word"] for w in row["words"])
        assert "".join(w["word"] for w in row["words"]) == "".join(line.split())


def test_tags_name_the_place_of_every_character_in_its_word(book):
    out = cut(book, "我去天安门 北京\n\n", "--tags")
    assert out == "我/S 去/S 天/B 安/M 门/E 北/B 京/E\n\n"


def test_a_line_is_cut_alike_whatever_stands_around_it(book):
    strange = "好\ufffd看\ufa0f"
    assert cut(book, f"{strange}\ne\u0301\n").split("\n")[0] == cut(book, strange).rstrip("\n")


def test_a_file_a_folder_and_a_packed_file_are_cut_as_the_stream_is(book, tmp_path):
    text = "\n".join(sentences(50_000, seed=1))  # more than one block
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    stream = cut(book, text)
    assert assert_works(run("cut", tmp_path / "a.txt", "--with", book)) == stream
    one_thread = run("cut", tmp_path / "b.txt.gz", "--with", book, "--threads", 1)
    assert assert_works(one_thread) == stream
    assert assert_works(run("cut", tmp_path, "--with", book)) == stream * 2


def test_lines_of_a_pipe_are_cut_as_they_come(book):
    command = [*COMMAND, "cut", "--with", str(book)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), **pipes) as process:
        process.stdin.write("吃苹果\n".encode())
        process.stdin.flush()
        assert process.stdout.readline().decode() == "吃 苹果\n"
        process.stdin.write("去北京\n".encode())
        process.stdin.close()
        assert process.stdout.read().decode() == "去 北京\n"
    assert process.returncode == 0


def test_a_reader_that_leaves_stops_it_quietly(book, tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(sentences(50_000)), encoding="utf-8")
    command = [*COMMAND, "cut", str(tmp_path / "a.txt"), "--with", str(book)]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), **pipes) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_the_lines_before_a_bad_one_come_out_and_its_number_is_told(book, tmp_path):
    text = "\n".join(sentences(50_000)).encode()
    (tmp_path / "a.txt").write_bytes(text + b"\n\xff\n")
    done = run("cut", tmp_path / "a.txt", "--with", book)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"taolu: {tmp_path}/a.txt, line 50001: not valid UTF-8.")
    assert done.stdout.count(b"\n") > 1000
    assert_fails(run("cut", "--with", book, stdin=b"\xff"), "<stdin>, line 1: not valid UTF-8")


def test_other_encodings_are_read(book):
    done = run("cut", "--with", book, "--encoding", "gb18030", stdin="吃苹果".encode("gb18030"))
    assert assert_works(done) == "吃 苹果\n"
