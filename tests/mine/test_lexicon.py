"""The minimum-entropy dictionary: its algebra, its promises, and planted truth."""

import math
from collections import Counter

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import gold_sentences, needs_jit

from taolu.bits.codelength import unigram_bits
from taolu.mine.cut import Segmenter
from taolu.mine.lexicon import (
    character_step,
    fit_lexicon,
    learn_lexicon,
    merge_change,
    saved_bits,
    spelling_bits,
)
from taolu.mine.span_score import score_words
from taolu.text.corpus import Corpus
from taolu.text.encode import encode

LN2 = math.log(2)
COUNT = st.integers(1, 10**6)
LINES = st.lists(st.text("天地人和a1，。 ", min_size=1, max_size=25), min_size=1, max_size=12)


def read(lines):
    return encode(Corpus.from_lines(lines))


def unit_counts(lexicon, text):
    """Uses of every unit by its string."""
    counts = dict(zip(text.alphabet.characters, lexicon.character_counts.tolist(), strict=True))
    counts |= dict(zip(lexicon.words, lexicon.counts.tolist(), strict=True))
    return Counter({unit: count for unit, count in counts.items() if count})


def recount(lexicon, text, lines):
    """Uses of every unit when the text is cut again, by the plain Viterbi."""
    costs, unknown = naive.unit_costs(unit_counts(lexicon, text), text.sentences)
    return naive.count_units(naive.sentences("\n".join(lines)), costs, unknown)


def cost_per_character(counts):
    """H / l of the article: bits per character, without end symbols and codebook."""
    return naive.self_information(counts.values()) / sum(len(u) * c for u, c in counts.items())


# The change of a merge.


@given(COUNT, COUNT, COUNT, COUNT)
def test_change_of_a_merge_is_that_of_the_text(joins, left, right, rest):
    before = [joins + left, joins + right, rest]
    after = [left, right, rest, joins]
    wanted = naive.self_information(after) - naive.self_information(before)
    change = merge_change(joins, joins + left, joins + right, sum(before))
    assert change == pytest.approx(wanted, rel=1e-9, abs=1e-6)


@given(COUNT, COUNT, COUNT)
def test_change_of_a_merge_of_a_unit_with_itself(joins, left, rest):
    wanted = naive.self_information([left, rest, joins])
    wanted -= naive.self_information([left + 2 * joins, rest])
    total = left + 2 * joins + rest
    change = merge_change(joins, left + 2 * joins, left + 2 * joins, total, same=True)
    assert change == pytest.approx(wanted, rel=1e-9, abs=1e-6)


def test_changes_broadcast():
    changes = merge_change(
        np.array([5, 3]), np.array([9, 8]), np.array([7, 8]), 40, same=np.array([False, True])
    )
    assert changes.tolist() == [merge_change(5, 9, 7, 40), merge_change(3, 8, 8, 40, same=True)]


def article_gain(joint, parts):
    """F of the article, in nats, for k parts with probabilities before the merge."""
    rest = 1 - (len(parts) - 1) * joint
    gain = joint * math.log(joint / math.prod(parts)) - rest * math.log(rest)
    return gain + sum((p - joint) * math.log(1 - joint / p) for p in parts if p > joint)


@given(st.integers(1, 500), st.lists(st.integers(0, 500), min_size=2, max_size=3), COUNT)
def test_objective_falls_by_the_gain_over_the_mean_length(joins, others, rest):
    # L = H / l with l = characters / units; the parts of the merge stand for one character each.
    before = [joins + other for other in others] + [rest]
    after = [*others, rest, joins]
    total, characters = sum(before), sum(before) + 7 * rest
    parts = [count / total for count in before[:-1]]
    gain = article_gain(joins / total, parts)
    change = naive.self_information(after) - naive.self_information(before)
    assert change * LN2 / characters == pytest.approx(-gain / (characters / total), abs=1e-12)
    pmi = math.log(joins / total / math.prod(parts))
    assert gain >= joins / total * (pmi - 1) - 1e-12
    if len(others) == 2:
        assert merge_change(joins, before[0], before[1], total) * LN2 == pytest.approx(
            -gain * total, rel=1e-9, abs=1e-6
        )


def test_greedy_merges_go_down_by_exactly_their_change_until_none_pays():
    texts = [list("".join(words)) for words in gold_sentences()[:60]]
    for _ in range(40):
        units = Counter(unit for sentence in texts for unit in sentence)
        pairs = naive.pair_counts(texts)
        change, pair = min(
            (float(merge_change(n, units[a], units[b], units.total(), same=a == b)), (a, b))
            for (a, b), n in pairs.items()
        )
        assert change < 0
        texts = [naive.merge(sentence, *pair) for sentence in texts]
        merged = Counter(unit for sentence in texts for unit in sentence)
        bits = naive.self_information(units.values())
        assert naive.self_information(merged.values()) == pytest.approx(bits + change, abs=1e-6)


# Cutting and counting.


@given(LINES, st.sets(st.text("天地人和a1", min_size=2, max_size=4), max_size=6))
def test_settled_counts_are_those_of_cutting_again(lines, words):
    text = read(lines)
    words = sorted(word for word in words if text.characters and set(word) <= set("".join(lines)))
    if not text.characters:
        return
    lexicon = fit_lexicon(text, words)
    assert lexicon.settled
    assert recount(lexicon, text, lines) == unit_counts(lexicon, text)
    assert (lexicon.counts > 0).all()
    assert sum(len(u) * c for u, c in unit_counts(lexicon, text).items()) == text.characters


def test_bits_of_the_text_never_rise_from_round_to_round():
    lines = ["".join(words) for words in gold_sentences()[:400]]
    text = read(lines)
    pairs = naive.ngrams(lines, 3)
    words = [gram for gram, count in pairs.items() if len(gram) > 1 and count > 2]
    guess = np.random.default_rng(4).integers(1, 1000, len(words))
    fits = [fit_lexicon(text, words, guess, rounds=n) for n in range(1, 12)]
    bits = [fit.bits(text)[0] for fit in fits]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] < bits[0]
    assert not fits[0].settled
    assert fit_lexicon(text, words, guess).settled


def test_a_better_guess_of_the_counts_is_taken_up():
    lines = ["天地人"] * 10
    text = read(lines)
    guess = {"words": ["天地", "地人"], "rounds": 1}
    assert fit_lexicon(text, counts=[1, 50], **guess).words == ("地人",)
    assert fit_lexicon(text, counts=[50, 1], **guess).words == ("天地",)


def test_words_outside_the_alphabet_are_refused():
    with pytest.raises(
        ValueError, match=r"`words` must be spelled in the text's alphabet\. Received: '鬼神'"
    ):
        fit_lexicon(read(["天地"]), ["天地", "鬼神"])


# What words cost and save.


def test_ledger_lines_by_hand():
    text = read(["天地天地", "人"])
    step = character_step(text)
    assert step.text == pytest.approx(naive.self_information([2, 2, 1, 2]) / 5)
    assert step.codebook == pytest.approx((3 * 21 + 3 * 0.5 * math.log2(7)) / 5)
    lexicon = fit_lexicon(text, ["天地"])
    line = lexicon.step("words", text)
    assert unit_counts(lexicon, text) == {"天地": 2, "人": 1}
    assert line.text == pytest.approx(naive.self_information([2, 1, 2]) / 5)
    spelling = 2 * math.log2(7 / 2) + math.log2(7 / 2)
    assert spelling_bits(["天地"], text) == pytest.approx([spelling])
    counts = 0.5 * 2 * math.log2(5)
    assert line.codebook == pytest.approx(step.codebook + (spelling + counts) / 5)
    assert line.learned == 1


def test_saved_bits_are_those_of_taking_a_word_out():
    lines = ["".join(words) for words in gold_sentences()[:300]]
    text = read(lines)
    lexicon = learn_lexicon(text)
    counts = unit_counts(lexicon, text)
    total = counts.total() + text.sentences
    spelling = spelling_bits(lexicon.words, text)
    rows = zip(lexicon.words, saved_bits(lexicon, text), spelling, strict=True)
    for word, saved, spelled in rows:
        costs, unknown = naive.unit_costs(counts, text.sentences)
        del costs[word]
        without = counts.copy()
        uses = without.pop(word)
        for part in naive.cheapest(word, costs, unknown):
            without[part] += uses
        more = naive.self_information([*without.values(), text.sentences])
        more -= naive.self_information([*counts.values(), text.sentences])
        assert saved == pytest.approx(more - spelled - 0.5 * math.log2(total), abs=1e-6)


# Learning.


def test_long_words_that_are_chance_meetings_go_first_and_leave_their_uses():
    rng = np.random.default_rng(2)
    vocabulary = ["北京", "大学", "上海", "天气", "苹果", "颜色"]
    lines = ["".join(rng.choice(vocabulary, 8)) for _ in range(200)]
    text = read(lines)
    pairs = [a + b for a in vocabulary for b in vocabulary if a != b]
    lexicon = learn_lexicon(text, [*vocabulary, *pairs, "京大", "海天"])
    assert set(lexicon.words) == set(vocabulary)
    assert lexicon.counts.sum() == 1600


def test_overlapping_repeats_are_merged_without_counting_twice():
    rng = np.random.default_rng(7)
    others = [chr(code) for code in range(0x5000, 0x5028)]
    lines = ["".join(rng.choice(others, 6)) + "哈" * int(rng.integers(2, 7)) for _ in range(300)]
    text = read(lines)
    lexicon = learn_lexicon(text)
    assert any(set(word) == {"哈"} for word in lexicon.words)
    assert sum(len(u) * c for u, c in unit_counts(lexicon, text).items()) == text.characters
    assert recount(lexicon, text, lines) == unit_counts(lexicon, text)


@given(LINES, st.sampled_from([0.0, 1.0]))
def test_the_total_is_never_above_that_of_no_words(lines, margin):
    text = read(lines)
    if text.characters:
        lexicon = learn_lexicon(text, margin=margin)
        assert sum(lexicon.bits(text)) <= sum(fit_lexicon(text, ()).bits(text)) + 1e-9
        assert sum(len(u) * c for u, c in unit_counts(lexicon, text).items()) == text.characters


@needs_jit
def test_real_text_is_described_in_fewer_bits():
    text = read(["".join(words) for words in gold_sentences()[:3000]])
    lexicon = learn_lexicon(text)
    assert sum(lexicon.bits(text)) < character_step(text).total - 0.1
    assert lexicon.settled
    passes = []
    many = learn_lexicon(text, threads=3, tick=lambda: passes.append(1))
    assert unit_counts(many, text) == unit_counts(lexicon, text)
    assert len(passes) > 5


@needs_jit
def test_a_margin_gives_fewer_and_shorter_words():
    text = read(["".join(words) for words in gold_sentences()[:3000]])
    sizes = []
    for margin in (0.0, 1.0, 2.5):
        lexicon = learn_lexicon(text, margin=margin)
        sizes.append((len(lexicon.words), sum(map(len, lexicon.words)) / len(lexicon.words)))
    assert sizes == sorted(sizes, reverse=True)
    assert [mean for _, mean in sizes] == sorted((mean for _, mean in sizes), reverse=True)


@pytest.mark.parametrize("longest", [2, 3, 5])
def test_no_word_is_longer_than_asked(longest):
    text = read(["阿弥陀佛善哉", "善哉阿弥陀佛", "佛阿弥"] * 30)
    for seed in ((), ["阿弥陀佛", "善哉"]):
        lexicon = learn_lexicon(text, seed, max_length=longest)
        assert max(map(len, lexicon.words)) <= longest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": -1}, "`margin` must be at least 0 bits"),
        ({"margin": math.nan}, "`margin` must be at least 0 bits"),
        ({"max_length": 1}, "`max_length` must lie in 2 to 64"),
        ({"max_length": 65}, "`max_length` must lie in 2 to 64"),
        ({"min_count": 0}, "`min_count` must be at least 1"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        learn_lexicon(read(["天地"]), **options)


# Planted truth.


def test_the_synthetic_text_itself():
    gold = gold_sentences()
    words = Counter(word for sentence in gold for word in sentence)
    characters = Counter()
    for word, count in words.items():
        characters.update(dict.fromkeys(word, 0))
        for character in word:
            characters[character] += count
    assert characters.total() == 490_452
    # Under the dictionary's own frequencies these are 9.784 and 7.590; counts on a sample of this
    # size lie below by (types - 1) / (2 ln 2 * tokens), and so does the sample.
    assert cost_per_character(characters) == pytest.approx(9.775, abs=5e-4)
    assert cost_per_character(words) == pytest.approx(7.556, abs=5e-4)


@needs_jit
def test_planted_words_are_learned():
    gold = gold_sentences()
    text = read(["".join(words) for words in gold])
    lexicon = learn_lexicon(text, min_count=8)
    counts = unit_counts(lexicon, text)
    agreement = score_words(gold, Segmenter(counts).cut_lines(["".join(s) for s in gold]))
    assert agreement.f1 >= 0.782
    assert cost_per_character(counts) <= 8.098
    assert cost_per_character(counts) == pytest.approx(
        unigram_bits(list(counts.values())) / text.characters
    )


@needs_jit
@pytest.mark.parametrize("margin", [1 / LN2 / 1.75, 2.0, 3.3])
def test_planted_redundant_compounds_go_and_real_words_stay(margin):
    rng = np.random.default_rng(3)
    letters = [chr(code) for code in range(0x5000, 0x5000 + 150)]
    pairs = rng.permutation([a + b for a in letters for b in letters])[:300].tolist()
    weights = 1 / np.arange(30, 330)
    lines = []
    for _ in range(4000):
        words = rng.choice(pairs, 6, p=weights / weights.sum()).tolist()
        # Every second word is followed by 的, whatever it is: frequent compounds without news.
        lines.append("".join(word + "的" * int(rng.random() < 0.5) for word in words))
    text = read(lines)
    redundant = [word + "的" for word in pairs]
    uses = naive.ngrams(lines, 3)
    assert min(uses[word] for word in redundant) >= 8
    # The article keeps w if PMI(w; parts) > 1 nat, its code if > len(w) - 1; here it is ln 1.5.
    # A margin of m asks 1.75 m bits a use for a pair and 的, so 1 nat is m = 0.83. With m = 0
    # compounds stay that pay for their spelling, and at ln 1.5 nats a use these do.
    found = set(learn_lexicon(text, [*pairs, *redundant], margin=margin).words)
    assert len(found & set(redundant)) <= 0.05 * len(redundant)
    assert len(found & set(pairs)) >= 0.95 * len(pairs)
