"""Which templates pay: their bits by plain counting, and what is refused."""

import math
import random
from collections import Counter

import naive
import numpy as np
import pytest

from taolu.errors import CodebookError
from taolu.mine.table_files import write_table
from taolu.mine.template_files import TEMPLATE_COLUMNS, template_rows, templates_from
from taolu.mine.template_grammar import best_grammar, fit_grammar, grammar_parser
from taolu.mine.templates import Templates, number_words, read_template

PAIRS = [*zip("又一连越既或不虽", "又就也发且者而但", strict=True)]


def pairs_and_filling(sentences=600, seed=0):
    """Sentences half of which have one of eight pairs of words that go together."""
    rng = random.Random(seed)
    words = [f"词{i}" for i in range(30)]
    lines = []
    for _ in range(sentences):
        line = rng.choices(words, k=rng.randint(3, 5))
        if rng.random() < 0.5:
            first, second = rng.choice(PAIRS)
            line[1:1], line[-1:-1] = [first], [second]
        lines.append(line)
    return lines


def planted(lines):
    """How many sentences have each pair."""
    return {f"{a} [X] {b}": sum(a in line for line in lines) for a, b in PAIRS}


def test_what_pays_is_found_and_its_uses_are_counted():
    lines = pairs_and_filling()
    best, *others = best_grammar(*number_words(lines), min_count=10)
    found = dict(zip(best.templates.text, best.templates.count.tolist(), strict=True))
    assert found == planted(lines)
    assert all(best.total <= other.total for other in others)
    shown = zip(best.templates.parts, best.templates.examples, strict=True)
    assert all((parts[0], parts[-1]) == (words[0], words[-1]) for parts, words in shown)
    assert all(word.startswith("词") for word in best.templates.fillers[0][0])


def test_what_fills_a_slot_is_of_one_kind():
    # Each pair takes words of one of four kinds; what else there is, of any.
    rng = random.Random(5)
    kinds = {kind: [f"{kind}{i}" for i in range(12)] for kind in "人物地时"}
    lines = []
    for _ in range(1500):
        line = [rng.choice(kinds[rng.choice("人物地时")]) for _ in range(4)]
        if rng.random() < 0.4:
            at = rng.randrange(len(PAIRS))
            first, second = PAIRS[at]
            line[1:3] = [first, rng.choice(kinds["人物地时"[at % 4]]), second]
        lines.append(line)
    best = best_grammar(*number_words(lines), min_count=10)[0]
    slots = [slot for one in best.templates.fillers for slot in one if len(slot) > 1]
    pure = [max(Counter(word[0] for word in slot).values()) / len(slot) for slot in slots]
    assert len(pure) >= 8
    assert np.mean(pure) >= 0.95


@pytest.mark.parametrize("threads", [1, 3])
def test_bits_are_those_of_the_uses_and_the_cheapest_parses(threads):
    lines = pairs_and_filling(200)
    ids, words = number_words(lines)
    given = Templates(tuple((a, None, b) for a, b in PAIRS), np.full(8, 40))
    found = fit_grammar(ids, words, given, threads=threads)
    uses = found.templates.count.tolist()
    counts = [*found.words.tolist(), *uses, found.slots, len(lines)]
    assert found.slots == sum(uses)
    assert found.text == pytest.approx(naive.self_information([n for n in counts if n]))
    parser = grammar_parser(
        found.templates,
        {word: int(n) for word, n in zip(words, np.bincount(ids[ids >= 0]), strict=True)},
        len(lines),
    )
    end = math.log2(sum(counts) / len(lines))
    costs = dict(zip(found.templates.parts, parser.costs.tolist(), strict=True))
    singles = {word: parser.word_costs[parser.vocabulary[word]] for word in words}
    told = sum(naive.template_bits(one, singles, costs, parser.slot_end) + end for one in lines)
    assert told == pytest.approx(found.text, rel=1e-6)


def test_templates_without_a_pattern_do_not_pay():
    rng = random.Random(1)
    lines = [[rng.choice("甲乙丙丁戊") for _ in range(6)] for _ in range(300)]
    assert best_grammar(*number_words(lines), min_count=4) == []


def test_candidates_start_and_end_with_words():
    ids, words = number_words(pairs_and_filling())
    given = Templates(tuple((a, None, b) for a, b in PAIRS), np.full(8, 40))
    assert len(fit_grammar(ids, words, given).templates) == 8
    with pytest.raises(ValueError, match=r"`rounds` must be at least 1"):
        fit_grammar(ids, words, given, rounds=0)
    outer = Templates(((None, "又"),), np.array([9]))
    with pytest.raises(ValueError, match=r"must start and end with words. Received: '\[X\] 又'"):
        fit_grammar(ids, words, outer)


def test_a_long_text_is_mined_in_a_sample_and_counted_whole(monkeypatch):
    monkeypatch.setattr("taolu.mine.template_grammar.MOST_UNITS", 1000)
    monkeypatch.setattr("taolu.mine.template_grammar.BLOCKS", 4)
    lines = pairs_and_filling()
    best = best_grammar(*number_words(lines), min_count=5)[0]
    # A quarter of the sentences is looked at, and most uses are found in all of them.
    assert sum(planted(lines).values()) >= best.templates.count.sum()
    assert best.templates.count.sum() > 0.75 * sum(planted(lines).values())


def test_templates_with_more_words_than_the_text_are_refused():
    with pytest.raises(ValueError, match=r"`uses` must cover the words of all templates. Received"):
        grammar_parser(Templates((("又", None, "又"),), np.array([3])), {"又": 5}, 2)


def test_templates_of_a_codebook_are_saved_and_read_back(tmp_path):
    parts = tuple(map(read_template, ["又 [X] 又", "连 [X] 也 [X] 了"]))
    fillers = ((("高", "/"),), ((), ("走", "来")))
    told = Templates(parts, np.array([4, 2]), fillers, (("又", "高", "又"), ("连",)))
    path = tmp_path / "templates.tsv"
    write_table(path, TEMPLATE_COLUMNS, template_rows(told))
    found = templates_from(path, {"examples": [list(one) for one in told.examples]})
    assert (found.parts, found.fillers, found.examples) == (parts, fillers, told.examples)
    assert found.count.tolist() == [4, 2]
    assert templates_from(path, None) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("又 [X] [X]\t3\t高", "line 2: A template needs a word"),
        ("又 [X] 又\t0\t高", "line 2: needs a count of at least 1 and words for 1 slots"),
        ("又 [X] 又\t3\t高 / 大", "Received: 3, words for 2 slots"),
        ("又 [X] 又\tx\t高", "line 2: 'x' is not a number"),
    ],
)
def test_damaged_templates_are_named_with_their_line(tmp_path, line, message):
    path = tmp_path / "templates.tsv"
    path.write_text("\t".join(TEMPLATE_COLUMNS) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(CodebookError, match=message):
        templates_from(path, {"examples": [["又"]]})
