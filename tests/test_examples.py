"""Every example runs by itself, is short, and prints what it is about."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SAYS = {
    "activations.py": ["su_exp   -0.367879   -1.0000", "literally    20000.0     nan"],
    "adaptive_dynamics.py": ["scalar_rmsprop  [0.849 1.131]", "1946                18968"],
    "attention.py": ["without positions: accuracy", "with positions: accuracy 1.00"],
    "count_words.py": ["words: 21000 in all", "not numbers: ['three']"],
    "gradients.py": ["its slope: 6.000 12.000", "slope by a: 16.000 4.800 6.400", "by epoch: 0.4"],
    "hmm.py": ["path [0 0 1] 0.01512", "他们 爱 北京 35.76 bits"],
    "hsic.py": ["parabola           -0.100   0.03844", "0.00609    0.00634    0.00002"],
    "infomap.py": ["3.0935 bits, 6 on top", "= 2.3207"],
    "label_bias.py": ["CRF             0.06", "MEMM, local     0.50"],
    "lazy_optimizer.py": ["2.61   4.19   5.99", "1.00   1.00   1.00   1.00   1.00   1.00"],
    "lexicon.py": ["joining them changes the text by", "margin 2.5", "words that save most"],
    "lookahead.py": ["[0.4406835", "fast 0.6441, slow 0.7952"],
    "masked_pooling.py": ["  MeanPooling         2.600    1.625", "abc.. read backwards: cba.."],
    "mixture.py": [
        "0.7281 0.3124     26.86",
        "2       4.8476            4.9462",
        "both: [0.49 0.51]",
    ],
    "model_surgery.py": ["Missing: 'embed'", "differ from the whole by 0.0"],
    "new_words.py": ["cohesion from (2, 4, 6) nats", "ranked last because known"],
    "noise_contrastive.py": ["NCE                    1.01", "log U forgotten        0.51"],
    "optimizer_dynamics.py": ["0.003397     2.01    0.000047     4.00", "momentum 0.95: friction"],
    "tagger.py": ["pointer: F1 1.00", "南京/LOC@3  南京大学/ORG@3", "48 give way to longer spans"],
    "templates.py": ["could not open [X] : permission", "[disk {sdz} is {101} percent full]"],
    "signal_report.py": ["by the formula 0.010100", "linear      Orthogonal"],
    "word2vec.py": ["correlation of all 900: 0.99", "50 words of 16 numbers"],
}
# These compile or train networks for five seconds or more.
LONG = (
    *("activations.py", "adaptive_dynamics.py", "attention.py", "gradients.py", "label_bias.py"),
    *("lazy_optimizer.py", "lookahead.py", "masked_pooling.py", "model_surgery.py"),
    *("noise_contrastive.py", "optimizer_dynamics.py", "signal_report.py", "tagger.py"),
)
# As plain Python, without the compiler, these would take minutes.
COMPILED = ("word2vec.py",)
RUNS = [
    pytest.param(path, marks=pytest.mark.slow) if path.name in LONG else path for path in EXAMPLES
]


def run(path, *arguments):
    command = [sys.executable, str(path), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    if path.name in COMPILED:
        environment.pop("NUMBA_DISABLE_JIT", None)
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=120, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_says_how_to_run_it(path):
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) < 100
    assert f"python examples/{path.name}" in "\n".join(lines[:5])


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_an_example_runs_and_prints(path):
    printed = run(path)
    assert printed.strip()
    for said in SAYS.get(path.name, []):
        assert said in printed


@pytest.mark.parametrize("name", ["new_words.py", "lexicon.py"])
def test_an_example_reads_a_text_of_ones_own(tmp_path, name):
    places, others = "我你他在去看来到问想", "好大美吧吗了人事天中"
    lines = [a + word + b for a in places for word in ("北京", "天安门") for b in others]
    (tmp_path / "my.txt").write_text("\n".join(lines), "utf-8")
    assert "北京" in run(ROOT / "examples" / name, tmp_path / "my.txt")
