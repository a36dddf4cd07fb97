"""A real browser for the tests of the pages: a script goes in, its answer comes out."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Frames come when the machine has time, so nothing may wait for an animation.
    "--force-prefers-reduced-motion",
    "--dump-dom",
    "--virtual-time-budget=20000",
    "--enable-logging=stderr",
    "--v=0",
]

HELPERS = """
const all = (query) => [...document.querySelectorAll(query)];
const text = (query) => all(query).map((element) => element.textContent);
const table = (id) => all(`#${id} tbody tr`).map((row) => [...row.cells].map((c) => c.textContent));
const words = () => text("#word-table tbody td:first-child");
const click = (query) => { document.querySelector(query).click(); return words(); };
"""


@pytest.fixture
def ask(tmp_path):
    """Opens a page, runs a script in it after everything else, and hands back its answer.

    `quiet` also asserts that the browser had nothing to say on its console.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")

    def run(page: Path, script: str, fragment: str = "", width: int = 1280, quiet: bool = True):
        probe = (
            f"<script>{{{HELPERS}(async () => {{{script}}})().then((answer) => {{"
            "const box = document.createElement('pre'); box.id = 'answer';"
            "box.textContent = JSON.stringify(answer); document.body.append(box);"
            "});}</script></body>"
        )
        content = page.read_text(encoding="utf-8")
        page.write_text(content.replace("</body>\n</html>", probe + "</html>"), encoding="utf-8")
        flags = [*FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
        done = subprocess.run(
            [browser, *flags, f"{page.as_uri()}#{fragment}"],
            capture_output=True,
            timeout=120,
            check=True,
        )
        if quiet:
            log = done.stderr.decode("utf-8", "replace")
            assert [line for line in log.splitlines() if "CONSOLE" in line] == []
        found = re.findall(r'<pre id="answer">(.*?)</pre>', done.stdout.decode("utf-8"), re.DOTALL)
        return json.loads(html.unescape(found[-1]))

    return run
