"""Parses: the cheapest of all, the sentences of the article, and what is refused."""

import math
import random

import naive
import numpy as np
import pytest

from taolu.mine.template_parse import Parse, TemplateParser
from taolu.mine.templates import Templates, check_template, read_template


def templates(*lines, counts=None):
    parts = tuple(map(read_template, lines))
    return Templates(parts, np.array(counts or [1] * len(parts)))


ARTICLE = templates("[X] 呢", "[X] 是 什么", "[X] 的 [X]", "[X] 和 [X]", counts=[9, 7, 20, 12])


def random_templates(rng, letters="abcd", most=6):
    found = set()
    while len(found) < most:
        parts = tuple(rng.choice([None, *letters]) for _ in range(rng.randint(2, 5)))
        try:
            check_template(parts)
        except ValueError:
            continue
        found.add(parts)
    return Templates(tuple(sorted(found, key=str)), np.array([rng.randint(1, 9) for _ in found]))


def cost(parse, parser):
    """Cost of a parse, from its parts."""
    if parse.parts and not parse.inside and len(parse.parts) == 1:
        return parser.word_costs[parser.vocabulary.get(parse.parts[0], -1)]
    spent = sum(cost(part, parser) for part in parse.inside)
    if not parse.parts:
        return spent + parser.beside * (len(parse.inside) - 1)
    at = parser.templates.parts.index(parse.parts)
    return spent + parser.costs[at] + parser.slot_end * len(parse.inside)


def test_the_sentences_of_the_article():
    parser = TemplateParser(ARTICLE)
    one = parser.parse(["苹果", "的", "颜色", "是", "什么", "呢"])
    assert str(one) == "[{[{[{苹果} 的 {颜色}]} 是 什么]} 呢]"
    other = parser.parse(["雪梨", "和", "苹果", "和", "香蕉", "的", "颜色", "是", "什么"])
    assert str(other) == "[{[{[{[{雪梨} 和 {苹果}]} 和 {香蕉}]} 的 {颜色}]} 是 什么]"
    assert [*one.spans()] == [(0, 6), (0, 5), (0, 3), (0, 1), (2, 3)]


def test_words_that_no_template_joins_stand_side_by_side():
    parser = TemplateParser(ARTICLE)
    found = parser.parse(["今天", "天气", "好", "呢"])
    assert str(found) == "[{今天 天气 好} 呢]"
    assert parser.best(found.words, 1)[0][0] == pytest.approx(40 - math.log(9 / 48), abs=1e-6)
    assert str(parser.parse(["雨"])) == "雨"
    assert parser.parse([]) == Parse((), (), ())


@pytest.mark.parametrize("seed", range(60))
def test_the_parse_is_the_cheapest_of_all(seed):
    rng = random.Random(seed)
    rules = random_templates(rng)
    words = {letter: rng.uniform(1, 4) for letter in "abcde"}
    slot_end = rng.uniform(0, 2)
    parser = TemplateParser(rules, words, slot_end=slot_end, beside=0.0)
    sentence = rng.choices("abcde", k=rng.randint(1, 8))
    costs = dict(zip(rules.parts, parser.costs.tolist(), strict=True))
    truth = naive.template_bits(sentence, words, costs, slot_end)
    found = parser.parse(sentence)
    assert found.words == tuple(sentence)
    assert cost(found, parser) == pytest.approx(truth, abs=1e-6)
    ways = parser.best(sentence, 4)
    assert ways[0][0] == pytest.approx(truth, abs=1e-6)
    assert [way[0] for way in ways] == sorted(way[0] for way in ways)
    assert len({str(way[1]) for way in ways}) == len(ways)
    for spent, way in ways:
        assert spent == pytest.approx(cost(way, parser), abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_items_side_by_side_cost_what_they_are_said_to(seed):
    rng = random.Random(seed)
    parser = TemplateParser(random_templates(rng), beside=rng.choice([0.5, 20.0]))
    sentence = rng.choices("abcde", k=rng.randint(1, 8))
    assert cost(parser.parse(sentence), parser) == pytest.approx(
        parser.best(sentence, 1)[0][0], abs=1e-6
    )


def test_slots_are_no_longer_than_allowed():
    parser = TemplateParser(templates("一 [X] 二"), beside=1.0, longest_slot=2)
    assert str(parser.parse(["一", "三", "三", "二"])) == "[一 {三 三} 二]"
    assert str(parser.parse(["一", "三", "三", "三", "二"])) == "一 三 三 三 二"


def test_of_parses_that_cost_the_same_the_one_with_fewer_templates_is_taken():
    parser = TemplateParser(templates("[X] 是 什么", "[X] 什么", "[X] 是"), costs=[2.0, 1.0, 1.0])
    assert str(parser.parse(["这", "是", "什么"])) == "[{这} 是 什么]"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slot_end": -1.0}, "`slot_end` must be finite, 0 or more. Received: slot_end=-1.0"),
        ({"beside": math.inf}, "`beside` must be finite, 0 or more. Received: beside=inf"),
        ({"longest_slot": 0}, "`longest_slot` must be at least 1. Received: longest_slot=0"),
        ({"costs": [1.0]}, "`costs` must hold a finite number for each of 4 templates"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        TemplateParser(ARTICLE, **options)


def test_ways_of_nothing_are_refused():
    with pytest.raises(ValueError, match="`words` must not be empty"):
        TemplateParser(ARTICLE).best([], 2)
