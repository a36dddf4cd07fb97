"""The command line as a user meets it: a process with arguments, streams and an exit code."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "taolu")
WORDS = ("苹果", "香蕉", "葡萄", "天安门", "北京", "上海", "红楼梦", "大观园", "火车站")
SINGLES = "我你他在去看买吃好大小多少不很又也的了吗"


def sentences(count, seed=0):
    """Lines of words between single characters, so that the words stand freely."""
    draw = random.Random(seed)
    lines = []
    for _ in range(count):
        words = draw.choices(WORDS, k=3)
        lines.append("".join(draw.choice(SINGLES) + word for word in words) + "。")
    return lines


def noise(count, seed=0):
    """Lines without a pattern: nearly all their n-grams are different, which fills any memory."""
    draw = random.Random(seed)
    letters = [chr(code) for code in range(0x4E00, 0x5A00)]
    return ["".join(draw.choices(letters, k=80)) for _ in range(count)]


def environment(**more):
    """The environment of a user: no colours asked for, no width, no buffering switched off."""
    hidden = ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "PYTHONUNBUFFERED", "TERM", "TTY_COMPATIBLE")
    mine = {name: value for name, value in os.environ.items() if name not in hidden}
    path = os.pathsep.join(filter(None, [str(ROOT), mine.get("PYTHONPATH", "")]))
    return {**mine, "PYTHONPATH": path, "PYTHONUTF8": "1", **{k: str(v) for k, v in more.items()}}


def run(*arguments, cwd=None, stdin="", env=None, **options):
    """Runs `python -m taolu` and returns what came of it; streams are bytes."""
    data = stdin if isinstance(stdin, bytes) else stdin.encode()
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=data,
        cwd=cwd,
        env=environment(**(env or {})),
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        timeout=120,
        **options,
    )


def assert_fails(done, *parts, code=1):
    """One clear line on standard error, nothing on standard output, and the exit code."""
    error = done.stderr.decode()
    assert done.returncode == code, error
    assert error.startswith("taolu: "), error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    assert not done.stdout
    for part in parts:
        assert part in error


def assert_works(done):
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return done.stdout.decode()


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text with words to find; fixtures are named in each file that uses them."""
    path = tmp_path_factory.mktemp("text") / "fruit.txt"
    path.write_text("\n".join(sentences(400)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def book(text):
    """A codebook; nobody may change it."""
    assert_works(run("learn", text))
    return text.with_name("fruit.taolu")
