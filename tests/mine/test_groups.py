"""Groups of words: their bits against slow truth, planted groups found, and what is refused."""

import json
import lzma
import math
from collections import Counter
from itertools import pairwise

import naive
import numpy as np
import pytest
from scipy import sparse

import taolu.mine.similar as similar
from taolu.errors import CodebookError
from taolu.mine import units as units_module
from taolu.mine.class_bigram import class_bigram_bits
from taolu.mine.codebook import Codebook
from taolu.mine.groups import (
    WordGroups,
    best_groups,
    groups_from_transitions,
    groups_from_vectors,
)
from taolu.mine.learn import learn
from taolu.mine.lexicon import fit_lexicon
from taolu.mine.similar import nearest
from taolu.mine.transitions import count_transitions, transitions_in
from taolu.mine.vectors import context_vectors
from taolu.text.corpus import Corpus
from taolu.text.encode import encode

SUBJECTS, VERBS, THINGS = ("我你他她咱俺", "吃买卖要爱看", "桃李杏梨橘枣")


def planted(sentences=400, seed=0):
    """Sentences of one word of each class, every word as likely as the others of its class."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, 6, (sentences, 3)).tolist()
    return [[SUBJECTS[a], VERBS[b], THINGS[c]] for a, b, c in draws]


def random_sentences(seed, words=12, sentences=40):
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(words, 0.5))
    sizes = rng.integers(1, 7, sentences)
    return [[f"w{i}" for i in rng.choice(words, size, p=share)] for size in sizes]


def naive_bits(sentences, group):
    """Bits of text and codebook by the definition, table by table."""
    uses, steps = Counter(), Counter()
    for words in sentences:
        uses.update((group(word), word) for word in words)
        steps.update(pairwise(["end", *map(group, words), "end"]))
    groups = {name for name, _ in uses}
    text = 0.0
    book = len(uses) * math.log2(len(groups))
    book += math.log2(math.comb((len(groups) + 1) ** 2, len(steps)))
    for table in (uses, steps):
        for row in {first for first, _ in table}:
            counts = [count for (first, _), count in table.items() if first == row]
            text += naive.self_information(counts)
            book += 0.5 * (len(counts) - 1) * math.log2(sum(counts))
    return len(groups), text, book


# What a walk over groups costs


def test_two_words_in_turn_by_hand():
    found = count_transitions([["天", "地"]] * 4)
    apart, together = (class_bigram_bits(found, groups) for groups in ([0, 1], [0, 0]))
    # A group each: all is certain. Two words to place, and 3 of 9 cells, C(9, 3) = 84.
    assert (apart.groups, apart.text) == (2, 0.0)
    assert apart.codebook == pytest.approx(2 + math.log2(84), abs=1e-12)
    # One group: end or not after each of 8 words, which of two words 8 times; two frequencies.
    assert (together.groups, together.text) == (1, 16.0)
    assert together.codebook == pytest.approx(math.log2(4) + 2 * 0.5 * math.log2(8), abs=1e-12)


@pytest.mark.parametrize("most", [5, 30])
@pytest.mark.parametrize("seed", range(4))
def test_bits_equal_those_counted_by_the_definition(seed, most):
    sentences = random_sentences(seed)
    found = count_transitions(sentences, most_words=most)
    groups = np.random.default_rng(seed).integers(0, 4, len(found.words)) * 7
    cost = class_bigram_bits(found, groups)
    named = dict(zip(found.words, groups.tolist(), strict=True))
    truth = naive_bits(sentences, lambda word: named.get(word, "rest"))
    assert (cost.groups, cost.text, cost.codebook) == pytest.approx(truth, rel=1e-12)
    assert cost.total == cost.text + cost.codebook


def test_splitting_a_group_never_lengthens_the_text():
    found = count_transitions(random_sentences(9))
    groups = np.zeros(len(found.words), dtype=int)
    last = class_bigram_bits(found, groups).text
    for word in range(len(groups)):
        groups[word] = word + 1
        text = class_bigram_bits(found, groups).text
        assert text <= last + 1e-9
        last = text


# Who follows whom


def test_transitions_of_sentences_are_counted_one_by_one():
    sentences = [*random_sentences(3), []]
    found = count_transitions(sentences, most_words=4)
    uses = Counter(word for words in sentences for word in words)
    assert [uses[word] for word in found.words] == found.uses.tolist()
    assert sorted([*found.uses, *found.rest], reverse=True) == sorted(uses.values(), reverse=True)
    place = {word: i for i, word in enumerate(found.words)}
    truth = np.zeros((6, 6), dtype=np.int64)
    for words in filter(None, sentences):
        for a, b in pairwise([5, *(place.get(word, 4) for word in words), 5]):
            truth[a, b] += 1
    assert np.array_equal(found.counts.toarray(), truth)


@pytest.mark.parametrize(("at_once", "threads"), [(1 << 20, 1), (7, 1), (64, 2)])
def test_a_text_is_cut_and_counted_as_its_sentences(monkeypatch, at_once, threads):
    lines = ["上海自来水来自海上。天气好！", "今天 天气 很好，上海下雨", "iPhone15涨3.5%；雨"] * 5
    text = encode(Corpus.from_lines(lines))
    lexicon = fit_lexicon(text, ["上海", "天气", "自来水", "今天"])
    counts = dict(zip(lexicon.words, lexicon.counts.tolist(), strict=True))
    singles = zip(text.alphabet.characters, lexicon.character_counts.tolist(), strict=True)
    counts |= {character: count for character, count in singles if count}
    costs, unknown = naive.unit_costs(counts, text.sentences)
    sentences = naive.sentences("\n".join(lines))
    truth = count_transitions([naive.units(s, costs, unknown) for s in sentences], most_words=9)
    monkeypatch.setattr(units_module, "AT_ONCE", at_once)
    found = transitions_in(text, lexicon, most_words=9, threads=threads)
    assert found.uses.tolist() == truth.uses.tolist()
    assert sorted(found.rest) == sorted(truth.rest)
    everything = [
        transitions_in(text, lexicon),
        count_transitions([naive.units(s, costs, unknown) for s in sentences]),
    ]
    tables = []
    for one in everything:
        order = np.append(np.argsort(one.words), [len(one.words), len(one.words) + 1])
        tables.append(one.counts.toarray()[np.ix_(order, order)])
    assert np.array_equal(*tables)


# Vectors and who is near whom


def test_context_vectors_are_those_of_the_full_decomposition():
    found = count_transitions(random_sentences(1, words=18, sentences=400))
    counts, words = found.counts.toarray().astype(float), len(found.words)
    halves = []
    for table in (counts, counts.T):
        chance = np.outer(table.sum(1), table.sum(0)) / table.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            halves.append(np.nan_to_num(np.sqrt(table) * np.log2(table / chance)).clip(0))
    left, values, _ = np.linalg.svd(np.hstack(halves)[:words])
    truth = left[:, :8] * values[:8]
    vectors = context_vectors(found.counts, words, width=8)
    assert vectors.shape == (words, 8)
    # Directions may be turned round; products between words may not.
    np.testing.assert_allclose(vectors @ vectors.T, truth @ truth.T, atol=1e-4 * values[0])


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_neighbours_are_those_of_all_pairs(monkeypatch, block):
    vectors = np.random.default_rng(5).standard_normal((40, 4))
    vectors[7] = 0.0
    vectors[9] *= 1e-30
    monkeypatch.setattr(similar, "BLOCK", block)
    sources, targets, cosines = nearest(vectors, neighbours=3, least_similarity=0.5)
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-100)
    all_pairs = vectors @ vectors.T / np.outer(lengths, lengths)
    truth = {}
    for i in range(40):
        order = [j for j in np.argsort(-all_pairs[i]) if j != i and all_pairs[i, j] >= 0.5]
        truth |= {(i, j): all_pairs[i, j] for j in order[:3]}
    assert set(zip(sources.tolist(), targets.tolist(), strict=True)) == set(truth)
    expected = [truth[pair] for pair in zip(sources.tolist(), targets.tolist(), strict=True)]
    np.testing.assert_allclose(cosines, expected, atol=1e-6)
    assert 9 in targets
    assert not np.isin(7, [*sources, *targets])


# Groups


def test_planted_classes_come_back_and_pay():
    found = count_transitions(planted())
    groups, cost, _ = best_groups(found)
    assert {frozenset(group) for group in groups} == set(map(frozenset, (SUBJECTS, VERBS, THINGS)))
    # Which class comes next is certain, and the words of a class are equally likely.
    assert cost.text == pytest.approx(1200 * math.log2(6), rel=0.01)
    levels = [groups.at_level(level) for level in range(groups.levels + 1)]
    numbers = [[one.numbers[one.words.index(word)] for word in found.words] for one in levels]
    assert cost.total == min(class_bigram_bits(found, some).total for some in numbers)


def test_words_without_any_order_stay_in_one_group():
    rng = np.random.default_rng(2)
    groups, cost, _ = best_groups(
        count_transitions(rng.choice(list("甲乙丙丁"), (300, 5)).tolist())
    )
    assert (len(groups), groups.level, cost.groups) == (1, 0, 1)
    assert set(groups.group_of("甲")) == set("甲乙丙丁")


def test_topics_come_out_of_transitions():
    rng = np.random.default_rng(1)
    topics = "云雨雪风雷", "鱼虾蟹龟鳖"
    lines = [["，", *rng.choice(list(topics[i % 2]), 6), "。"] for i in range(200)]
    groups = groups_from_transitions(lines)
    for topic in topics:
        assert set(topic) <= set(groups.group_of(topic[0]))
    assert groups.group_of("云") != groups.group_of("鱼")
    again = groups_from_transitions(count_transitions(lines))
    assert list(again) == list(groups)


def clusters(sizes, width=10, spread=0.1, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.standard_normal((width, width)))[0]
    rows = [centres[i] + spread * rng.standard_normal((n, width)) for i, n in enumerate(sizes)]
    return np.concatenate(rows) * rng.uniform(0.1, 9, (sum(sizes), 1))


def test_clusters_of_vectors_come_back_whatever_their_lengths():
    vectors = clusters([30, 20, 10])
    words = [f"w{i}" for i in range(60)]
    groups = groups_from_vectors(words, vectors)
    assert [set(group) for group in groups] == [set(words[:30]), set(words[30:50]), set(words[50:])]
    assert groups.flows.tolist() == sorted(groups.flows.tolist(), reverse=True)
    assert sum(groups.flows) == pytest.approx(1)
    same = groups_from_vectors(words, vectors, two_level=True, trials=3, rng=4)
    assert list(map(set, same)) == list(map(set, groups))


def test_a_word_like_no_other_is_alone():
    groups = groups_from_vectors("甲乙丙", [[1.0, 0.0], [1.0, 0.1], [0.0, -1.0]])
    assert sorted(map(set, groups), key=len) == [{"丙"}, {"甲", "乙"}]
    nobody = groups_from_vectors("甲乙", [[1.0, 0.0], [0.0, 1.0]])
    assert list(nobody) == [("甲",), ("乙",)]
    assert nobody.codelength == 0.0


def test_levels_numbers_and_order():
    paths = np.array([[0, 1], [1, -1], [0, 0], [0, 1], [1, -1]], dtype=np.int32)
    groups = WordGroups(tuple("abcde"), paths, np.array([1.0, 2.0, 3.0, 1.0, 4.0]), 2.0, 2)
    assert list(groups) == [("e", "b"), ("c",), ("a", "d")]
    assert list(groups.at_level(1)) == [("e", "b"), ("c", "a", "d")]
    assert list(groups.at_level(0)) == [("e", "c", "b", "a", "d")]
    assert groups.group_of("d") == ("a", "d")
    assert "a" in groups
    assert "z" not in groups
    seen = groups.visited([9, 1, 1, 1, 1])
    assert seen.flow.sum() == pytest.approx(1)
    assert seen.paths.tolist() == [[0, 0], [1, -1], [0, 1], [0, 0], [1, -1]]
    assert groups.in_order().words == ("c", "a", "d", "e", "b")
    assert list(groups.in_order()) == list(groups)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: groups_from_vectors("甲乙", [[1.0]]), "one length.*2 words, 1 vectors"),
        (lambda: groups_from_vectors("", []), "at least 1"),
        (lambda: groups_from_vectors("甲甲", [[1.0], [2.0]]), "each word once.*'甲' twice"),
        (lambda: groups_from_vectors("甲", [[math.nan]]), "finite"),
        (lambda: groups_from_vectors("甲", [1.0]), r"\(rows, width\)"),
        (lambda: groups_from_vectors("甲", [[1.0]], neighbours=0), "`neighbours`.*=0"),
        (lambda: groups_from_vectors("甲", [[1.0]], least_similarity=0), "`least_similarity`"),
        (lambda: groups_from_transitions([[]]), "at least one word"),
        (lambda: count_transitions([["甲"]], most_words=0), "`most_words`.*=0"),
        (lambda: class_bigram_bits(count_transitions([["甲"]]), [0, 1]), "one number for each"),
        (lambda: context_vectors(sparse.eye_array(3), 4), "`words`.*=4"),
        (lambda: context_vectors(sparse.eye_array(3), 2, width=0), "`width`.*=0"),
        (lambda: groups_from_vectors("甲", [[1.0]]).at_level(2), "`level`.*=2"),
    ],
)
def test_what_cannot_be_grouped_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# In a codebook


@pytest.fixture(scope="module")
def book():
    return learn(Corpus.from_lines(["".join(words) for words in planted(1000)]))


def test_groups_are_saved_and_come_back(book, tmp_path):
    assert {frozenset(group) for group in book.groups} >= {frozenset(SUBJECTS)}
    book.save(tmp_path / "b.taolu")
    lines = (tmp_path / "b.taolu" / "groups.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "path\tword\tflow"
    assert lines[1].startswith("1:1")
    loaded = Codebook.load(tmp_path / "b.taolu").groups
    assert list(loaded) == list(book.groups)
    assert (loaded.level, loaded.codelength) == (book.groups.level, book.groups.codelength)
    assert np.array_equal(loaded.paths, book.groups.paths)
    assert np.array_equal(loaded.flow, book.groups.flow)


def test_a_codebook_from_before_there_were_groups_loads(book, tmp_path):
    folder = tmp_path / "b.taolu"
    book.save(folder)
    (folder / "groups.tsv").unlink()
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    del meta["groups"]
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    assert Codebook.load(folder).groups is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1:1", "1", r"groups\.tsv, line 2: the path .* Received: '1'"),
        ("1:1", "0:1", r"groups\.tsv, line 2: the path"),
        ("1:1", "x:1", r"groups\.tsv, line 2: 'x' is not a number"),
        ("\n", "\nextra\n", r"groups\.tsv, line 2: needs 3 columns"),
    ],
)
def test_damaged_groups_are_named(book, tmp_path, old, new, message):
    book.save(tmp_path / "b.taolu")
    path = tmp_path / "b.taolu" / "groups.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CodebookError, match=message):
        Codebook.load(tmp_path / "b.taolu")
    path.unlink()
    with pytest.raises(CodebookError, match=r"groups\.tsv: cannot be read"):
        Codebook.load(tmp_path / "b.taolu")


# Real characters

ELEMENTS = "氢氦锂硼碳氮氟钠镁铝硅磷硫氯氩钾钙钛铬锰钴镍铜锌"  # of the first thirty
SURNAMES = "赵孙李周吴郑冯陈褚蒋沈韩杨朱秦许何吕"  # from the start of 百家姓


@pytest.mark.data
def test_groups_of_real_character_vectors_hold_what_belongs_together(data_folder, figure):
    folder = data_folder / "weights_tencent_char_embedding"
    vocabulary = json.loads(lzma.decompress((folder / "vocab.json.xz").read_bytes()))
    vectors = np.load(folder / "embedding_Tencent.npz")["embeddings"]
    words = [word for word in vocabulary if len(word) == 1 and "一" <= word <= "\u9fff"]
    vectors = vectors[[vocabulary[word] for word in words]]
    groups = groups_from_vectors(words, vectors)
    place = {word: i for i, word in enumerate(words)}
    sources, targets, _ = nearest(vectors, neighbours=1)
    kinds = [[place[c] for c in kind if c in place] for kind in (ELEMENTS, SURNAMES)]
    pairs = [np.transpose([(a, b) for a in kind for b in kind if a < b]) for kind in kinds]
    shuffled = groups.numbers[np.random.default_rng(0).permutation(len(words))]
    for name, (one, other), least in [
        ("neighbours in one group", (sources, targets), 0.6),
        ("elements in one group", pairs[0], 0.3),
        ("surnames in one group", pairs[1], 0.3),
    ]:
        together, chance = (np.mean(n[one] == n[other]) for n in (groups.numbers, shuffled))
        figure(name, together)
        figure(f"{name}, by chance", chance)
        assert together > least > 5 * chance
