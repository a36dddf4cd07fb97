"""Every benchmark runs from a fresh process on a tiny made text and prints its tables."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


def run(name: str, *arguments: str) -> str:
    """Standard output of one script, run without any real data."""
    environment = {key: value for key, value in os.environ.items() if key != "TAOLU_DATA"}
    command = [sys.executable, str(FOLDER / name), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(output: str) -> list[list[list[str]]]:
    """The markdown tables of an output, as rows of cells."""
    found: list[list[list[str]]] = []
    inside = False
    for line in output.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        inside = line.startswith("|")
    for table in found:
        assert len(table) > 2
        assert {len(row) for row in table} == {len(table[0])}
    return found


def column(table: list[list[str]], name: str) -> dict[str, str]:
    """One column of a table, by the first cell of each row."""
    at = table[0].index(name)
    return {row[0]: row[at] for row in table[2:]}


def test_segmentation_scores_words_and_names_the_command():
    pytest.importorskip("jieba")
    output = run("segmentation.py", "--small", "--margin", "2")
    [table] = tables(output)
    assert "`python benchmarks/segmentation.py --small --margin 2`" in output
    assert float(column(table, "F1")["lexicon, margin 2"]) > 0.8
    assert "jieba, HMM off" in column(table, "F1")


def test_segmentation_shows_each_step():
    pytest.importorskip("jieba")
    [table] = tables(run("segmentation.py", "--small", "--ablation", "--margins", "0", "4"))
    totals = column(table, "total")
    assert float(totals["+ merges, margin 0"]) < float(totals["+ merges, margin 4"])
    assert float(totals["+ merges, margin 4"]) < float(totals["characters"])


def test_held_out_scores_characters_and_lexicons():
    [table] = tables(run("held_out.py", "--small", "--margins", "0"))
    bits = column(table, "held out")
    assert float(bits["lexicon, margin 0"]) < float(bits["characters"])


@pytest.mark.slow
def test_discovery_times_itself_and_a_peer():
    peer = f'{sys.executable} -c \'import sys; open(sys.argv[2], "w").write("a\\n")\' TEXT OUT'
    output = run("discovery.py", "--small", "--repeat", "1", "--no-smoothnlp", "--peer", peer)
    words = column(tables(output)[0], "words")
    assert words["peer"] == "1"
    assert words["taolu, 1 thread"] == words["taolu, 2 threads"] != "0"


def test_cutting_agrees_with_a_plain_viterbi_everywhere():
    pytest.importorskip("jieba")
    speed, places = tables(run("cutting.py", "--small", "--repeat", "1"))
    assert len(speed) == 7
    assert column(places, "all")["Viterbi in plain Python"].endswith("= 1.000000")


@pytest.mark.slow
def test_hsic_agrees_with_hyppo():
    pytest.importorskip("hyppo")
    compared, large = tables(run("hsic.py", "--small", "--repeat", "1"))
    values = [float(value) for value in column(compared, "statistic").values()]
    assert values == pytest.approx([values[0]] * 3, abs=1e-5)
    assert len(large) == 4


def test_infomap_finds_planted_groups_beside_the_package():
    pytest.importorskip("infomap")
    bits, times = tables(run("infomap.py", "--small", "--trials", "2", "--repeat", "1"))
    assert len(bits) == 2 + 4
    assert all(float(row[-2]) == pytest.approx(float(row[-1]), abs=0.01) for row in bits[2:])
    assert all(float(row[5]) < 1.001 for row in bits[2:] + times[2:])
    assert len(times) == 2 + 8


def test_scale_measures_stages_and_memory():
    times, memories = tables(run("scale.py", "--small"))
    assert len(times) == len(memories) == 4
    assert all(int(row[-1]) > 0 for row in times[2:])


@pytest.mark.slow
def test_attention_times_itself_beside_the_bare_operations():
    pytest.importorskip("keras")
    costs, growth = tables(run("attention.py", "--small", "--repeat", "1"))
    assert float(column(costs, "ours / bare")["all"]) > 0
    assert growth[0][1:] == ["full ms", "Local(32) ms", "Atrous(16) ms", "Sparse(32, 32) ms"]


@pytest.mark.slow
def test_a_mixture_takes_turns_with_scikit_learn():
    pytest.importorskip("sklearn")
    [table] = tables(run("mixture.py", "--rows", "1500", "--repeat", "1"))
    ratios = column(table, "times scikit-learn")
    assert len(ratios) == 12
    assert float(ratios["full: taolu, 2 threads"]) > 0


def test_missing_data_is_explained():
    command = [sys.executable, str(FOLDER / "held_out.py")]
    environment = {key: value for key, value in os.environ.items() if key != "TAOLU_DATA"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TAOLU_DATA must name the folder" in done.stderr


def test_text_of_a_set_size_is_the_same_every_time(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import corpora

    lines = ["今天天气好", "明天也好", "后天呢"]
    sizes = [corpora.write_text(tmp_path / name, lines, 0.001, seed=1) for name in "ab"]
    assert sizes[0] == sizes[1] >= 1000
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.data
def test_gold_and_raw_text_are_read_without_markup(data_folder, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import corpora

    raw = corpora.raw_lines(["pd1998", "msra"])
    assert not any(line.startswith("#fold") or " " in line or "/%" in line for line in raw)
    assert len(raw) == len(set(raw)) > 70_000
    gold = {name: corpora.gold_lines(path) for name, path in corpora.GOLD_DEV.items()}
    assert [len(lines) for lines in gold.values()] == [17_115, 813]
    assert json.dumps(gold["SXU"][0][:4], ensure_ascii=False) == '["上海", "推", "“", "迎"]'


def test_hidden_markov_models_agree_with_the_peer():
    pytest.importorskip("hmmlearn")
    pytest.importorskip("jieba")
    learning, decoding = tables(run("hmm.py", "--small", "--repeat", "1"))
    assert max(float(v) for v in column(learning, "transitions apart").values()) < 1e-6
    assert column(decoding, "runs cut otherwise") == {"taolu, 1 thread": "0"}


@pytest.mark.slow
def test_crf_takes_turns_with_a_memm_and_a_peer():
    pytest.importorskip("keras")
    small = ("crf.py", "--small", "--repeat", "1", "--turns", "1")
    own, memm = tables(run(*small))
    assert own[0] == ["tags", "work", "ours ms"]
    assert [row[:2] for row in own[2:]] == [
        [tags, work] for tags in ("2", "5") for work in ("loss and gradient", "best path")
    ]
    assert all(float(row[-1]) > 0 for row in own[2:])
    assert list(column(memm, "times as fast")) == ["2", "5"]
    assert all(float(row[-1]) > 0 for row in memm[2:])
    if all(map(importlib.util.find_spec, ("torch", "torchcrf"))):
        beside, _ = tables(run(*small, "--peer", sys.executable))
        assert all(float(row[-1]) > 0 for row in beside[2:])


@pytest.mark.slow
def test_taggers_stand_beside_their_peer():
    pytest.importorskip("pycrfsuite")
    settings = '{"epochs": 3, "width": 16, "depth": 1, "dropout": 0, "learning_rate": 0.03}'
    [ours] = tables(run("tagging.py", "run", "small", "--settings", settings))
    assert float(column(ours, "test F1")["small, convolution, crf"]) > 0.8
    assert float(column(ours, "k characters/s")["small, convolution, crf"]) > 0
    [peer] = tables(run("tagging.py", "peer", "small"))
    assert float(column(peer, "test F1")["small"]) > 0.8


def test_templates_of_a_made_text_pay_and_their_slots_are_of_one_kind():
    found, ledger, kinds = tables(run("templates.py", "--small", "--top", "8"))
    assert {row[0] for row in found[2:]} >= {"[X] 越 [X] 发 [X]", "[X] 连 [X] 也 [X]"}
    assert ["templates", "yes"] in [[row[0], row[-1]] for row in ledger[2:]]
    shares = {name.split(",")[0]: float(x) for name, x in column(kinds, "fillers").items()}
    assert shares == {"types": 1.0, "uses": 1.0}


@pytest.mark.slow
def test_structure_stands_between_branching_and_gold():
    output = run("structure.py", "--small")
    [brackets] = tables(output)
    assert "`python benchmarks/structure.py --small`" in output
    f1 = {name: float(value) for name, value in column(brackets, "F1").items()}
    least = f1["taolu `learn_structure`"]
    assert f1["gold, by twos"] >= least > max(f1["left-branching"], f1["random"])


@pytest.mark.slow
@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="takes minutes as plain Python")
def test_word_vectors_stand_beside_gensims():
    pytest.importorskip("gensim")
    small = ("word2vec.py", "--small", "--seeds", "2", "--turns", "1")
    judged, speeds = tables(run(*small))
    assert [row[:2] for row in judged[2:]] == [
        [kind, tool] for kind in ("skip-gram", "cbow") for tool in ("taolu", "gensim")
    ]
    assert all(float(row[2].split(" ± ")[0]) > 0.8 for row in judged[2:])
    assert [row[1] for row in speeds[2:]] == ["taolu", "gensim", "ratio"] * 2
    assert all(float(row[-1].replace(",", "")) > 0 for row in speeds[2:])
