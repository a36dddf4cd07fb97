"""An independent recount of the ledger, from nothing but the saved folder and the text.

It does not import the package: it reads the tables, cuts the text with the plain Viterbi of
`naive`, and adds up the bits the way the ledger is defined.
"""

import json
import lzma
import math
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import naive
import pytest

ROOT = Path(__file__).parent.parent


def table(path):
    """Rows of a table as dicts."""
    lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]


def counts_of(path, name):
    rows = table(path)
    counts = {row[name]: int(row["count"]) for row in rows}
    assert len(counts) == len(rows)
    return counts


def sent(parameters, observations):
    """Bits of parameters, each worth half the log of the observations behind it."""
    return 0.5 * parameters * math.log2(observations)


def bits_of_characters(characters, sentences):
    """Bits of the text and of the codebook under the character unigram."""
    observations = sum(characters.values()) + sentences
    alphabet = 21 * len(characters) + sent(len(characters), observations)
    return naive.self_information([*characters.values(), sentences]), alphabet


def bits_of_units(units, characters, sentences):
    """The same under a unigram of words and characters, the spelling of the words charged."""
    observations = sum(characters.values()) + sentences
    spelling = {c: math.log2(observations / count) for c, count in characters.items()}
    end = math.log2(observations / sentences)
    words = [unit for unit in units if len(unit) > 1]
    spelled = math.fsum(spelling[c] for word in words for c in word) + end * len(words)
    _, alphabet = bits_of_characters(characters, sentences)
    total = sum(units.values()) + sentences
    text = naive.self_information([*units.values(), sentences])
    # One count for each unit and the end symbol; the last follows from the total.
    return text, alphabet + spelled + sent(len(units), total)


def bits_of_groups(sentences, costs, unknown, groups, level):
    """Bits of the text as a walk over groups, and of the groups; the spelling is not among them."""
    paths = {row["word"]: row["path"].split(":")[:-1][:level] for row in groups}
    group = {word: ":".join(path) for word, path in paths.items()}
    uses, steps = Counter(), Counter()
    for sentence in sentences:
        units = naive.units(sentence, costs, unknown)
        uses.update((group.get(unit, "rest"), unit) for unit in units)
        walk = ["end", *(group.get(unit, "rest") for unit in units), "end"]
        steps.update(pairwise(walk))
    names = {name for name, _ in uses}
    text = codebook = 0.0
    for table in (uses, steps):
        for row in {row for row, _ in table}:
            counts = [count for (first, _), count in table.items() if first == row]
            text += naive.self_information(counts)
            codebook += sent(len(counts) - 1, sum(counts))
    cells = math.comb((len(names) + 1) ** 2, len(steps))
    return text, codebook + len(uses) * math.log2(len(names)) + math.log2(cells), len(names)


def read_templates(path):
    """Words and slots (None) of each template, with its uses."""
    templates = {}
    for row in table(path):
        parts = tuple(None if part == "[X]" else part for part in row["template"].split())
        assert None in parts[1:-1]
        assert None not in (parts[0], parts[-1])
        templates[parts] = int(row["count"])
    return templates


def bits_of_templates(sentences, units, costs, unknown, templates):
    """Bits of the text as rows of words and templates, and of the templates and all frequencies.

    The uses are those of the file; that sentences can be said so cheaply is found out by parsing.
    """
    alone, ends = Counter(units), 0
    for parts, uses in templates.items():
        ends += uses * parts.count(None)
        alone.subtract({word: uses * n for word, n in Counter(filter(None, parts)).items()})
    assert min(alone.values()) >= 0
    counts = [*alone.values(), *templates.values(), ends, len(sentences)]
    text = naive.self_information([n for n in counts if n])
    total = sum(counts)
    words = {word: math.log2(total / max(n, 1)) for word, n in alone.items()}
    items = {parts: math.log2(total / uses) for parts, uses in templates.items()}
    cheapest = len(sentences) * math.log2(total / len(sentences))
    for sentence in sentences:
        cut = naive.units(sentence, costs, unknown)
        cheapest += naive.template_bits(cut, words, items, math.log2(total / ends))
    # More uses than the text has would be cheaper than its cheapest parses.
    assert cheapest <= text * (1 + 1e-12)
    total_units = sum(units.values()) + len(sentences)
    end = math.log2(total_units / len(sentences))
    spelled = [
        end * (parts.count(None) + 1)
        + sum(math.log2(total_units / units[word]) for word in filter(None, parts))
        for parts in templates
    ]
    return text, math.fsum(spelled) + sent(len(units) + len(templates), total)


def learned(path, *options):
    """The folder that `taolu learn` writes for a text."""
    command = [sys.executable, "-m", "taolu", "learn", str(path), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=600, cwd=ROOT)
    return path.with_name(path.name.removesuffix(".txt") + ".taolu")


def recount(path, folder):
    """Checks every number of the ledger that the folder allows to be checked."""
    text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    sentences = naive.sentences(text)
    characters = Counter(c for sentence in sentences for c in sentence if not c.isspace())
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    assert meta["sentences"] == len(sentences)
    assert characters == counts_of(folder / "characters.tsv", "character")

    units = counts_of(folder / "words.tsv", "word")
    costs, unknown = naive.unit_costs(units, len(sentences))
    assert naive.count_units(sentences, costs, unknown) == units

    steps = {row["step"]: row for row in table(folder / "ledger.tsv")}
    names = list(steps)
    last = steps[[name for name in names if name not in ("templates", "groups")][-1]]
    assert names[0] == "characters"
    assert last["step"] in ("words", "lexicon")
    assert int(steps["characters"]["learned"]) == len(characters)
    assert int(last["learned"]) == sum(len(unit) > 1 for unit in units)
    lines = [
        (steps["characters"], bits_of_characters(characters, len(sentences))),
        (last, bits_of_units(units, characters, len(sentences))),
    ]
    # The words of the step before stay charged, but for their frequencies.
    spelled = lines[1][1][1] - sent(len(units), sum(units.values()) + len(sentences))
    assert ("templates" in steps) == (folder / "templates.tsv").exists()
    if "templates" in steps:
        templates = read_templates(folder / "templates.tsv")
        assert int(steps["templates"]["learned"]) == len(templates)
        told, own = bits_of_templates(sentences, units, costs, unknown, templates)
        lines.append((steps["templates"], (told, spelled + own)))
    assert ("groups" in steps) == (folder / "groups.tsv").exists()
    if "groups" in steps:
        assert names[-1] == "groups"
        groups, level = table(folder / "groups.tsv"), meta["groups"]["level"]
        grouped, own, number = bits_of_groups(sentences, costs, unknown, groups, level)
        assert int(steps["groups"]["learned"]) == number
        lines.append((steps["groups"], (grouped, spelled + own)))
    size = sum(characters.values())
    for row, (text_bits, codebook_bits) in lines:
        assert float(row["text"]) == pytest.approx(text_bits / size, abs=1e-9)
        assert float(row["codebook"]) == pytest.approx(codebook_bits / size, abs=1e-9)
        total = (text_bits + codebook_bits) / size
        assert float(row["total"]) == pytest.approx(total, abs=1e-9)
    totals = [float(row["total"]) for row in steps.values()]
    assert totals == sorted(set(totals), reverse=True)
    for row in table(folder / "tried.tsv"):
        assert float(row["total"]) >= totals[-1]


@pytest.mark.parametrize("options", [[], pytest.param(["--margin", "0"], marks=pytest.mark.slow)])
def test_ledger_of_the_sample(tmp_path, options):
    pages = sorted((ROOT / "taolu" / "guide").glob("*.md"))[:12]
    path = tmp_path / "guide.txt"
    path.write_bytes(b"\n".join(page.read_bytes() for page in pages))
    recount(path, learned(path, *options))


def test_ledger_of_an_untidy_text(tmp_path):
    # A byte order mark, carriage returns, decomposed letters, whitespace of many kinds, marks.
    lines = [
        "\ufeff天气预报说：今天 天气好！！明天呢？",
        "cafe\u0301 在北京\u3000café在上海；天气预报\t很好。\r",
        "",
        " \u2028 ",
        "哈哈哈哈哈，iPhone15涨了3.5%\x85天气预报",
        "か\u3099くせい、가각 ❤️ 𠮷野家",
    ]
    path = tmp_path / "untidy.txt"
    path.write_bytes("\n".join(lines * 40).replace("\n\ufeff", "\n").encode())
    recount(path, learned(path))


@pytest.mark.slow
@pytest.mark.data
def test_ledger_of_a_novel(tmp_path, data_folder):
    source = data_folder / "text_novels" / "红楼梦.txt.xz"
    path = tmp_path / "novel.txt"
    path.write_bytes(lzma.decompress(source.read_bytes()))
    recount(path, learned(path))
