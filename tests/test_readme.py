"""What the README promises: its commands exist, its examples run, both languages agree."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEST_COMMAND = (
    'python3 -m venv .venv && . .venv/bin/activate && pip install -e ".[test]" && pytest -n 2'
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("", "sh", "bash", "shell", "console")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, *languages):
    return [code.strip() for language, code in FENCE.findall(read(name)) if language in languages]


def commands(name):
    """The first two blocks a reader can paste into a shell."""
    return blocks(name, "sh", "bash", "shell", "console")[:2]


def test_the_second_command_runs_the_tests():
    assert commands("README.md")[1] == TEST_COMMAND


def test_the_test_command_stands_below_its_comment():
    after = read("README.md").split("<!-- test command -->")
    assert len(after) == 2, "the comment stands there once, for .ci/run"
    assert FENCE.search(after[1]).group(2).strip() == TEST_COMMAND


def test_both_languages_give_the_same_two_commands():
    assert len(commands("README.md")) == 2
    assert commands("README.zh.md") == commands("README.md")


def test_every_verb_of_the_readme_exists():
    verbs = set()
    for name in ("README.md", "README.zh.md"):
        for block in blocks(name, *SHELL):
            verbs |= set(re.findall(r"^(?:.*&& )?(?:\$ )?taolu ([a-z]+)", block, re.MULTILINE))
    assert verbs, "the README shows at least one `taolu VERB`"
    for verb in sorted(verbs):
        command = [sys.executable, "-m", "taolu", verb, "--help"]
        done = subprocess.run(command, capture_output=True, timeout=60)
        assert done.returncode == 0, (verb, done.stderr.decode())


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_python_examples_run(name, tmp_path, monkeypatch):
    # The examples may read a file `novel.txt`; the manual stands in for one.
    pages = sorted((ROOT / "taolu" / "guide").glob("*.md"))
    novel = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    (tmp_path / "novel.txt").write_text(novel, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    for number, code in enumerate(blocks(name, "python", "py"), start=1):
        if ">>> " in code:
            run_doctest(code + "\n", names, f"{name}, example {number}")
        else:
            exec(compile(code, f"{name}, example {number}", "exec"), names)


def run_doctest(code, names, title):
    test = doctest.DocTestParser().get_doctest(code, names, title, None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    report = []
    runner.run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_files_the_readme_links_to_exist(name):
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", read(name))
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("name", ["check", ".ci/run", ".ci/lanes"])
def test_the_scripts_can_be_run(name):
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True, timeout=60)
