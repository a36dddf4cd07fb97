"""On a terminal: progress bars, colours unless NO_COLOR, a hint where text is awaited."""

import contextlib
import os
import re
import subprocess
import sys

import command
import pytest
from command import COMMAND, environment

text, book = command.text, command.book

pty = pytest.importorskip("pty")


def on_terminal(*arguments, typed="", **env):
    """What a process shows on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    command = [*COMMAND, *map(str, arguments)]
    env = environment(TERM="xterm-256color", COLUMNS="80", **env)
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    process = subprocess.Popen(command, env=env, start_new_session=True, **streams)
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    # Linux gives an error where the other side of a terminal is closed.
    with contextlib.suppress(OSError):
        while data := os.read(ours, 1 << 16):
            shown += data
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown.decode()
    return shown.decode().replace("\r\n", "\n")


def plain(shown):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def test_learning_shows_a_bar_for_each_stage(text, tmp_path):
    shown = on_terminal("learn", text, "-o", tmp_path / "b")
    lines = re.split(r"[\r\n]+", plain(shown))
    for stage in (
        "reading 读入",
        "new words 新词",
        "lexicon 词典",
        "measuring 统计",
        "report 报告",
    ):
        done = [line for line in lines if line.startswith(stage) and "100%" in line]
        assert done, stage
        assert "MB/s" in done[-1]
        assert "left" in done[-1]
        assert len(done[-1].rstrip()) <= 80
    assert "next: taolu cut TEXT --with" in lines[-2]


def test_no_color_is_respected(book):
    assert "\x1b[" in on_terminal("show", book)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", on_terminal("show", book, NO_COLOR="1"))


def test_typed_text_is_cut_line_by_line_after_a_hint(book):
    shown = plain(on_terminal("cut", "--with", book, typed="吃苹果\n\x04"))
    assert "Type or paste text; Ctrl-D on an empty line ends.\n" in shown
    assert "吃 苹果\n" in shown


def test_a_page_of_the_guide_is_laid_out():
    shown = plain(on_terminal("guide", "R07"))
    assert "# R07" not in shown
    assert "R07 HMM" in shown


def test_importing_the_progress_bars_needs_no_terminal():
    code = "from taolu.cli.progress import stages\nwith stages(10) as tell: tell('read', 5, 10)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
