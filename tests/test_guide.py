"""The manual: no page waits for a figure, and what looks like a session is one."""

import doctest
import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parent.parent / "taolu" / "guide").glob("r*.md"))
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]*_(?:TABLE|TEXT|OUTPUT|COMMENT)\b|\b(?:TODO|TBD|FIXME)\b")
# The other pages show single lines, which need a model or a text of the reader's own.
SESSIONS = ("r01", "r03", "r07", "r10", "r11", "r16", "r22", "r23", "r26")


def named(page):
    return page.stem


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_holds_a_placeholder(page):
    assert PLACEHOLDER.findall(page.read_text(encoding="utf-8")) == []


def test_placeholders_are_known():
    found = PLACEHOLDER.findall(
        "REVIEWS_TABLE、RATIO_TEXT。A_B_COMMENT TODO; TABLE, MAX_TEXTS, IDF"
    )
    assert found == ["REVIEWS_TABLE", "RATIO_TEXT", "A_B_COMMENT", "TODO"]


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if p.stem[:3] in SESSIONS], ids=named)
def test_the_examples_of_a_page_run(page):
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    code = "\n".join(block for block in blocks if ">>> " in block)
    session = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), 0)
    assert session.examples
    report = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(session, out=report.append)
    assert report == []
