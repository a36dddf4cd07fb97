"""Tagging schemes: which tags may follow which, and how a scheme is recognised."""

from itertools import pairwise, product

import numpy as np
import pytest

from taolu.chain import penalties, viterbi
from taolu.text.schemes import (
    BILOU,
    BIO,
    BIOES,
    BMES,
    BMESO,
    IOB1,
    SCHEMES,
    count_pairs,
    detect_scheme,
    legality,
    split_tag,
    tag_set,
)
from taolu.text.spans import Span, spans_of, tags_of


def accepted(tags, scheme):
    try:
        spans_of(tags, scheme)
    except ValueError:
        return False
    return True


def legal(path, rules):
    if not path:
        return True
    steps = [rules.transitions[a, b] for a, b in pairwise(path)]
    return bool(rules.start[path[0]] and rules.end[path[-1]] and all(steps))


def spellable(labels, length, scheme):
    """Every tag sequence that some set of spans spells: the definition of a legal one."""
    found = set()

    def grow(spans, start):
        if start == length:
            try:
                found.add(tuple(tags_of(spans, length, scheme)))
            except ValueError:
                assert not scheme.outside
            return
        grow(spans, start + 1)
        for stop in range(start + 1, length + 1):
            for label in labels:
                grow([*spans, Span(start, stop, label)], stop)

    grow([], 0)
    return found


@pytest.mark.parametrize("labels", [[""], ["LOC", "PER"]])
@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_the_arrays_and_strict_reading_accept_what_spans_can_spell_and_nothing_else(scheme, labels):
    tags = tag_set(labels, scheme)
    rules = legality(tags, scheme)
    for length in range(5):
        right = spellable(labels, length, scheme)
        for path in product(range(len(tags)), repeat=length):
            sequence = tuple(tags[state] for state in path)
            assert legal(path, rules) == (sequence in right), sequence
            assert accepted(sequence, scheme) == (sequence in right), sequence


def test_the_best_path_under_the_penalties_is_legal():
    tags = tag_set(["LOC", "PER"], BIOES)
    rules = legality(tags, BIOES)
    rng = np.random.default_rng(0)
    for _ in range(20):
        best = viterbi(
            rng.normal(size=(6, len(tags))),
            penalties(rules.transitions),
            start=penalties(rules.start),
            end=penalties(rules.end),
        )
        assert accepted([tags[state] for state in best.path], BIOES)


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("B I O", BIO),
        ("B-PER O", BIO),
        ("I-PER O", IOB1),
        ("O", BIO),
        ("B M E S", BMES),
        ("B E", BMES),
        ("B M E S O", BMESO),
        ("B-NAME M-NAME E-NAME", BMESO),
        ("S-A O", BMESO),
        ("B-A I-A E-A S-A O", BIOES),
        ("B-A I-A L-A O", BILOU),
        ("U-A O", BILOU),
    ],
)
def test_letters_name_the_scheme(tags, scheme):
    assert detect_scheme(tags.split()).scheme == scheme
    assert scheme.name in detect_scheme(tags.split()).why


@pytest.mark.parametrize(
    ("sentence", "scheme", "broken"),
    [
        ("I-A I-A B-A O I-B", IOB1, 0),
        ("B-A I-A B-A O B-B", BIO, 0),
        ("B-A I-A O I-B O B-A B-B I-B", BIO, 1),
        ("B-A E-A O S-B", BMESO, 0),
        ("B I B I", BIO, 0),
        ("S B E S", BMES, 0),
        ("B M O S", BMESO, 1),
    ],
)
def test_sentences_name_the_scheme_whose_rules_they_break_least(sentence, scheme, broken):
    tags = sentence.split()
    detected = detect_scheme(tags, count_pairs([tags]))
    assert (detected.scheme, detected.broken) == (scheme, broken)


@pytest.mark.parametrize("tags", [[], ["NN", "VV"], ["B-A", "M-A", "I-A"], ["X-PER"]])
def test_tags_of_no_scheme_are_an_error_that_shows_them(tags):
    with pytest.raises(ValueError, match=f"Received: {', '.join(sorted(tags)) or 'no tags'}"):
        detect_scheme(tags)


def test_a_tag_of_another_scheme_is_an_error():
    for tag in ("O-PER", "S-PER", ""):
        with pytest.raises(ValueError, match=rf"begin with one of B, I, O. Received: '{tag}'"):
            BIO.parse(tag)


def test_a_long_list_of_tags_is_cut_short():
    tags = [f"T{number:02}" for number in range(40)]
    with pytest.raises(ValueError, match=r"T11 and 28 more\.$"):
        detect_scheme(tags)


def test_labels_may_hold_the_separators():
    assert split_tag("B-GPE-city_name") == ("B", "GPE-city_name")
    assert split_tag("B_地名") == ("B", "地名")
    assert split_tag("B-") == ("B-", "")


def test_pairs_of_empty_sentences_are_none():
    assert count_pairs([[], ["O"]]) == {(None, "O"): 1, ("O", None): 1}
