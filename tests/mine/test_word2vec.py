"""word2vec: against a slow definition, against what it must converge to, and on planted topics."""

import lzma
import math
from itertools import pairwise

import numpy as np
import pytest
from synthetic import needs_jit
from topics import topic_precision, topics_text

from taolu.errors import ModelError
from taolu.mine import word2vec as module
from taolu.mine.huffman import huffman_paths
from taolu.mine.sampling import alias_table, keep_thresholds
from taolu.mine.skip_gram import _multiply, _subsample, _to_errors, work_room
from taolu.mine.subwords import Subwords, bags_of_pieces
from taolu.mine.token_stream import END, TokenStream, read_tokens
from taolu.mine.word2vec import Settings, train_tables, word2vec


def zipf_text(sentences=30, words=12, seed=0):
    """Sentences of 1 to 12 words whose chances fall as 1 / rank."""
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, words + 1)
    draws = (
        rng.choice(words, rng.integers(1, 13), p=chances / chances.sum()) for _ in range(sentences)
    )
    return [[f"w{i}" for i in draw] for draw in draws]


class Slow:
    """The definition, word by word, in float64; it shares tables and random numbers, no code."""

    def __init__(self, stream, settings, seed):
        self.stream, self.settings = stream, settings
        seed = int(np.random.default_rng(seed).integers(1 << 48))
        self.state = int(np.random.default_rng([seed, 0]).integers(1 << 48))
        words = len(stream.words)
        self.starts, self.rows, self.scale, buckets = bags_of_pieces(
            stream.words, settings.subwords
        )
        start = np.random.default_rng([seed]).random(
            (words + buckets.size, settings.width), dtype=np.float32
        )
        self.inputs = (2 * start.astype(np.float64) - 1) / settings.width
        self.outputs = np.zeros((2 * words - 1 if settings.hierarchical else words, settings.width))
        self.keep = keep_thresholds(stream.counts, settings.sample)
        self.noise = alias_table(stream.counts**settings.noise_power)
        self.paths = huffman_paths(stream.counts)

    def draw(self):
        self.state = (self.state * 0x5DEECE66D + 11) % 2**48
        return self.state // 2**16

    def train(self):
        settings = self.settings
        kept = []
        for word in self.stream.ids.tolist():
            if word == END or self.keep[word] == 2**32 or self.draw() < self.keep[word]:
                kept.append(word)
        for t, word in enumerate(kept):
            if word == END:
                continue
            reach = 1 + self.draw() * settings.window // 2**32
            company = []
            for side in (range(t - 1, -1, -1), range(t + 1, len(kept))):
                for place in side:
                    if kept[place] == END or abs(place - t) > reach:
                        break
                    company.append(kept[place])
            if company:
                share = t / len(kept)
                rate = settings.rate + (settings.end_rate - settings.rate) * share
                self.step(word, company, rate)
        return self

    def told_apart(self, word):
        """Rows of outputs, and 1 for what is to be likely."""
        found = []
        if self.settings.negative:
            found.append((word, 1))
            for _ in range(self.settings.negative):
                place = self.draw() * len(self.stream.words) // 2**32
                share, alias = (table[place] for table in self.noise)
                noise = place if self.draw() < share else int(alias)
                if noise != word:
                    found.append((noise, 0))
        if self.settings.hierarchical:
            starts, nodes, ways = self.paths
            some = slice(starts[word], starts[word + 1])
            size = len(self.stream.words)
            found += [(size + n, w) for n, w in zip(nodes[some], ways[some], strict=True)]
        return found

    def step(self, word, company, rate):
        outputs = self.told_apart(word)
        bags = [self.rows[self.starts[c] : self.starts[c + 1]] for c in company]
        vectors = [
            self.inputs[bag].sum(0) * self.scale[c] for bag, c in zip(bags, company, strict=True)
        ]
        if self.settings.cbow:
            vectors = [sum(vectors) / len(vectors)]
            bags = [np.concatenate(bags)]
        change_in, change_out = np.zeros_like(self.inputs), np.zeros_like(self.outputs)
        for bag, x in zip(bags, vectors, strict=True):
            for row, target in outputs:
                y = self.outputs[row]
                error = rate * (target - 1 / (1 + math.exp(-float(x @ y))))
                for own in bag:
                    change_in[own] += error * y
                change_out[row] += error * x
        self.inputs += change_in
        self.outputs += change_out


SETTINGS = [
    {"negative": 5},
    {"negative": 2, "cbow": True},
    {"negative": 0, "hierarchical": True},
    {"negative": 0, "hierarchical": True, "cbow": True},
    {"negative": 3, "hierarchical": True},
    {"negative": 4, "subwords": Subwords(most=2)},
    {"subwords": Subwords(least=2, buckets=7, mean=False), "cbow": True, "rate": 0.02},
    {"negative": 5, "window": 1, "sample": 0, "noise_power": 1.0},
]


@pytest.mark.parametrize("chosen", SETTINGS, ids=str)
def test_one_epoch_is_the_definition_step_by_step(chosen):
    chosen = {"width": 10, "window": 3, "sample": 0.02, "epochs": 1, "rate": 0.5, **chosen}
    stream = read_tokens(zipf_text())
    settings = Settings(**chosen)
    tables, _, _ = train_tables(stream, settings, rng=3)
    slow = Slow(stream, settings, 3).train()
    for fast, truth in ((tables.inputs, slow.inputs), (tables.outputs, slow.outputs)):
        assert np.abs(truth).max() > 0.05
        np.testing.assert_allclose(fast[:, :10], truth, atol=2e-5)
        assert not fast[:, 10:].any()


def test_two_steps_by_hand():
    # One sentence of two words: the tree is one node, y, where "a" goes 0 and "b" goes 1.
    stream = read_tokens([["a", "b"]])
    chosen = {"negative": 0, "hierarchical": True, "sample": 0, "rate": 0.5, "end_rate": 0.5}
    tables, _, _ = train_tables(stream, Settings(width=1, window=1, epochs=1, **chosen))
    seed = int(np.random.default_rng(0).integers(1 << 48))
    start = np.random.default_rng([seed]).random((2, 1), dtype=np.float32)
    a, b = 2 * start[:, 0].astype(float) - 1
    # "a" in the company of "b": sigma(b * 0) = 1/2.
    y = 0.5 * (0 - 1 / 2) * b
    # "b" in the company of "a".
    error = 0.5 * (1 - 1 / (1 + math.exp(-a * y)))
    assert tables.inputs[:, 0] == pytest.approx([a + error * y, b], rel=1e-5)
    assert tables.outputs[2, 0] == pytest.approx(y + error * a, rel=1e-5)


def test_noise_is_drawn_by_its_weights():
    weights = np.random.default_rng(0).random(50) ** 4
    share, alias = alias_table(weights)
    chances = share / 2**32
    np.add.at(chances, alias, 1 - share / 2**32)
    np.testing.assert_allclose(chances / 50, weights / weights.sum(), atol=1e-9)


def test_a_code_of_huffman_is_complete_and_as_short_as_can_be():
    rng = np.random.default_rng(1)
    for size in (2, 3, 17, 200):
        counts = np.sort(rng.integers(1, 1000, size))[::-1].copy()
        starts, nodes, ways = huffman_paths(counts)
        lengths = np.diff(starts)
        assert (2.0**-lengths).sum() == 1
        paths = {tuple(ways[i:j]) for i, j in pairwise(starts)}
        assert len(paths) == size
        assert set(nodes) == set(range(size - 1))
        assert (nodes[starts[:-1]] == 0).all()
        shares = counts / counts.sum()
        entropy = -(shares * np.log2(shares)).sum()
        assert entropy <= (shares * lengths).sum() < entropy + 1
    # Counts that double: the ways are 1, 2, 3, ... long.
    assert np.diff(huffman_paths(2 ** np.arange(9, -1, -1))[0]).tolist() == [*range(1, 10), 9]


@pytest.mark.parametrize("value", [0.0, 1e-3, -3.3, 7.999, 8.0, -8.0, 60.0, -60.0, 1e4, -1e4])
def test_sigma_is_exact_enough_and_safe_far_out(value):
    room = work_room(1, 1, 2, 16)
    products = np.full((1, 2), value, dtype=np.float32)
    _to_errors(products, np.array([1, 0], np.float32), 1, 2, np.float32(1), room.sigmoid)
    sigma = 1 / (1 + np.exp(-np.float64(np.float32(value)))) if value > -700 else 0.0
    np.testing.assert_allclose(products[0], [1 - sigma, -sigma], atol=2e-6)
    if value == -60.0:
        assert products[0, 1] < 0  # not flushed to zero: a table alone would end at -8


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_sums_in_any_order_still_keep_infinities(bad):
    for width in (16, 112):
        x, y = np.ones((2, width), np.float32), np.ones((4, width), np.float32)
        x[1, width - 3] = bad
        products = np.zeros((2, 4), np.float32)
        _multiply(x, y, 2, 4, products)
        np.testing.assert_array_equal(products, [[width] * 4, [bad] * 4])
        y[2, width - 3] = 0
        y[3, 0] = -bad
        with np.errstate(invalid="ignore"):
            _multiply(x, y, 2, 4, products)
        assert np.isnan(products[1, 2:]).all()


@needs_jit
@pytest.mark.parametrize("negative", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_vectors_of_full_rank_end_at_mutual_information_less_log_k(negative, figure):
    words, pairs = 50, 300_000
    rng = np.random.default_rng(negative)
    joint = np.exp(1.2 * rng.standard_normal((words, words)))
    joint = joint + joint.T
    drawn = rng.choice(words**2, pairs, p=(joint / joint.sum()).ravel())
    ids = np.full((pairs, 3), END, dtype=np.int32)
    ids[:, 0], ids[:, 1] = np.divmod(drawn, words)
    table = np.zeros((words, words))
    np.add.at(table, (ids[:, 0], ids[:, 1]), 1)
    table += table.T
    uses = table.sum(axis=1)
    stream = TokenStream(ids.ravel(), tuple(map(str, range(words))), uses.astype(np.int64))
    chosen = {"window": 1, "sample": 0, "noise_power": 1.0, "epochs": 10, "rate": 0.03}
    settings = Settings(width=words, negative=negative, end_rate=1e-5, **chosen)
    tables, _, _ = train_tables(stream, settings)
    product = tables.inputs.astype(np.float64) @ tables.outputs.T
    truth = np.log(table * uses.sum() / np.outer(uses, uses)) - np.log(negative)
    squares = ((product - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    figure(f"share explained, k = {negative}", 1 - squares)
    assert 1 - squares > 0.99


@needs_jit
@pytest.mark.parametrize("chosen", [{}, {"cbow": True, "rate": 0.05}, {"hierarchical": True}])
def test_near_words_are_of_one_topic(chosen, figure):
    text = topics_text(4000)
    found = word2vec(text, width=50, epochs=5, sample=0, threads=2, **chosen)
    precision = topic_precision(found)
    figure("topic precision", precision)
    assert precision >= 0.95


@needs_jit
@pytest.mark.slow
@pytest.mark.parametrize("skip_gram", [1, 0])
def test_near_words_are_of_one_topic_as_often_as_gensims(skip_gram, figure):
    models = pytest.importorskip("gensim.models")
    text = topics_text(3000, seed=1)
    equal = {"window": 5, "negative": 5, "sample": 0, "min_count": 5, "epochs": 10}
    ours, theirs = [], []
    for seed in range(3):
        found = word2vec(text, width=50, cbow=not skip_gram, rng=seed, **equal)
        ours.append(topic_precision(found))
        peer = models.Word2Vec(text, vector_size=50, sg=skip_gram, seed=seed, workers=1, **equal)
        words = tuple(peer.wv.index_to_key)
        theirs.append(topic_precision(module.WordVectors(words, peer.wv.vectors)))
    figure("topic precision", np.mean(ours))
    figure("topic precision, gensim", np.mean(theirs))
    assert np.mean(ours) >= np.mean(theirs) - 0.02


@pytest.mark.parametrize("chosen", [{}, {"cbow": True}, {"negative": 0, "hierarchical": True}])
def test_the_same_seed_gives_the_same_bits(chosen):
    text = zipf_text()
    runs = [word2vec(text, width=8, epochs=2, rng=seed, **chosen) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0].vectors, runs[1].vectors)
    assert np.abs(runs[0].vectors - runs[2].vectors).max() > 1e-3


class Killed(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PIECE", 40)
    monkeypatch.setattr(module, "ROUND", 1)
    text = zipf_text(60)
    chosen = {"width": 8, "epochs": 3, "sample": 0.1, "subwords": Subwords(most=2)}
    reports = []
    whole = word2vec(text, report=lambda *args: reports.append(args), **chosen)
    assert [done for done, _, _ in reports] == sorted({done for done, _, _ in reports})
    assert reports[-1][0] == reports[-1][1]
    assert all(0 < loss < 6 for _, _, loss in reports)
    path = tmp_path / "state.npz"

    def stop_after(pieces):
        left = [pieces]

        def report(done, words, loss):
            left[0] -= 1
            if not left[0]:
                raise Killed

        return report

    kept = {"checkpoint": path, "checkpoint_seconds": 0, **chosen}
    for pieces in (1, 4, 5):
        with pytest.raises(Killed):
            word2vec(text, report=stop_after(pieces), **kept)
    resumed = []
    found = word2vec(text, report=lambda *args: resumed.append(args), **kept)
    assert 0 < len(resumed) < len(reports)
    assert resumed == reports[-len(resumed) :]
    np.testing.assert_array_equal(found.vectors, whole.vectors)
    np.testing.assert_array_equal(found.pieces.vectors, whole.pieces.vectors)
    again = []
    done = word2vec(text, report=lambda *args: again.append(args), **kept)
    np.testing.assert_array_equal(done.vectors, whole.vectors)
    assert again == []
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]
    with pytest.raises(ValueError, match="of the same text, settings and seed"):
        word2vec(text, rng=1, **kept)
    with pytest.raises(ValueError, match="of the same text, settings and seed"):
        word2vec(text[:-1], **kept)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ModelError, match=r"state.npz: no state of a training, or damaged"):
        word2vec(text, **kept)


def test_threads_share_the_pieces(monkeypatch):
    monkeypatch.setattr(module, "PIECE", 50)
    reports = []
    chosen = {"width": 8, "epochs": 2, "min_count": 1}
    found = word2vec(zipf_text(80), threads=3, report=lambda *a: reports.append(a), **chosen)
    assert reports[-1][0] == reports[-1][1]
    assert np.isfinite(found.vectors).all()

    def fail(*_):
        raise Killed

    with pytest.raises(Killed):
        word2vec(zipf_text(80), threads=3, report=fail, **chosen)


def test_pieces_end_with_sentences_or_within_long_ones(monkeypatch):
    monkeypatch.setattr(module, "PIECE", 4)
    ids = np.array([0, 0, END, 0, 0, END, 0, END], dtype=np.int32)
    assert module._bounds(ids) == [0, 6, 8]
    assert module._bounds(np.zeros(11, dtype=np.int32)) == [0, 4, 8, 11]
    assert module._bounds(np.zeros(0, dtype=np.int32)) == [0]


def test_frequent_words_are_dropped_before_windows_are_laid():
    # Where the frequent "a" goes, "b" and "c" stand side by side.
    stream = read_tokens([["b", "a", "c"]] * 500 + [["a"] * 9] * 500)
    keep = keep_thresholds(stream.counts, 0.05)
    kept = np.empty(stream.ids.size, np.int32)
    size, _ = _subsample(stream.ids, keep, kept, 1)
    share = 500 * 10 / (500 * 12)
    chance = math.sqrt(0.05 / share) + 0.05 / share
    assert keep.tolist() == [pytest.approx(chance * 2**32), 2**32, 2**32]
    lines = "".join("abc\n"[i] for i in kept[:size]).split("\n")[:500]
    assert set(lines) == {"bac", "bc"}
    assert lines.count("bac") / 500 == pytest.approx(chance, abs=0.07)


def test_files_and_lists_give_the_same_ids(tmp_path):
    text = zipf_text()
    lines = "".join(" ".join(line) + "\n" for line in text)
    (tmp_path / "plain.txt").write_text(lines, encoding="utf-8")
    with lzma.open(tmp_path / "small.txt.xz", "wt", encoding="utf-8") as file:
        file.write(lines.replace(" ", "\t ").replace("\n", "\r\n\n"))
    expected = read_tokens(text, min_count=3)
    assert expected.counts.min() >= 3
    assert (np.diff(expected.counts) <= 0).all()
    for source in (tmp_path / "plain.txt", tmp_path / "small.txt.xz", iter(text)):
        found = read_tokens(source, min_count=3)
        assert found.words == expected.words
        np.testing.assert_array_equal(found.counts, expected.counts)
        np.testing.assert_array_equal(found.ids, expected.ids)


def test_ids_of_large_texts_lie_in_a_file(monkeypatch):
    from taolu.mine import token_stream

    text = zipf_text(200)
    expected = read_tokens(text, min_count=60)
    monkeypatch.setattr(token_stream, "IN_MEMORY_IDS", 100)
    monkeypatch.setattr(token_stream, "AT_ONCE", 64)
    found = read_tokens(text, min_count=60)
    assert 0 < len(found.words) < 12
    assert found.words == expected.words
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.counts, expected.counts)


def test_unseen_words_get_vectors_from_their_pieces():
    text = [[f"{a}州", f"{b}山"] for a in "杭苏广郑" for b in "华泰衡"] * 5
    for mean in (True, False):
        rule = Subwords(most=1, mean=mean)
        found = word2vec(text, width=8, sample=0, epochs=1, subwords=rule)
        assert "杭山" not in found
        rows = [found.pieces.buckets.tolist().index(h) for h in rule.hashes("杭山")]
        both = found.pieces.vectors[rows].sum(axis=0) / (2 if mean else 1)
        np.testing.assert_allclose(found["杭山"], both, rtol=1e-5)
        # A piece that was never seen adds nothing.
        alone = found.pieces.vectors[rows[1]]
        np.testing.assert_array_equal(found["天山"], alone)
        with pytest.raises(KeyError, match="No vector for '甲'"):
            found["甲"]


def test_pieces_of_words_have_marks_at_the_ends():
    assert Subwords(least=2, most=3).pieces("上海") == ["<上", "上海", "海>", "<上海", "上海>"]
    assert Subwords(most=1).pieces("哈哈") == ["哈", "哈"]
    assert max(Subwords(buckets=10).hashes("哈尔滨")) < 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, r"`window` must be a whole number, at least 1. Received: window=0"),
        ({"width": 0}, "`width` must be"),
        ({"epochs": 0}, "`epochs` must be"),
        ({"window": 2.5}, "window=2.5"),
        ({"negative": -1}, "`negative` must be a whole number, 0 or more"),
        ({"negative": 0}, "`negative` must be at least 1 where `hierarchical` is False"),
        ({"sample": -1e-3}, "`sample` must lie in 0 to 1"),
        ({"sample": math.nan}, "`sample` must lie in 0 to 1"),
        ({"noise_power": math.nan}, "`noise_power` must be a number"),
        ({"rate": 0}, "`rate` must be above 0"),
        ({"rate": math.nan}, "`rate` must be above 0"),
        ({"end_rate": 0.5}, "`end_rate` lie in 0 to `rate`"),
        ({"threads": 0}, "`threads` must be at least 1"),
        ({"min_count": 0}, "`min_count` must be at least 1"),
        (
            {"min_count": 1000},
            r"used at least `min_count` times. Received: min_count=1000, 12 diff",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        word2vec(zipf_text(), **arguments)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # without the compiler NumPy says so too
def test_steps_that_grow_beyond_all_bounds_are_explained():
    with pytest.raises(ValueError, match=r"`rate` is too large .* Received: rate=1000"):
        word2vec(zipf_text(), sample=0, cbow=True, rate=1000, width=8, window=5)


def test_wrong_sources_are_named():
    with pytest.raises(TypeError, match="Received: the sentence '我来'"):
        word2vec(["我来"])
    with pytest.raises(ValueError, match="0 different words, the most used 0 times"):
        word2vec([])
    with pytest.raises(ValueError, match="needs at least two words"):
        word2vec([["a"] * 9], hierarchical=True)
    for wrong in ({"least": 0}, {"least": 3, "most": 2}, {"buckets": 0}):
        with pytest.raises(ValueError, match="Received: "):
            Subwords(**wrong)
