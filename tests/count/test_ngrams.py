import errno
import mmap
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taolu.count import chunks, merge
from taolu.count import memory as memory_module
from taolu.count.memory import parse_bytes
from taolu.count.ngrams import count_ngrams
from taolu.count.packing import Packing, pack, pack_one, unpack
from taolu.count.sorting import fold, sort_keys
from taolu.errors import CorpusError, TaoluError
from taolu.text.alphabet import Alphabet
from taolu.text.corpus import Corpus
from taolu.text.encode import END, GAP, EncodedText, encode

NO_KEYS = np.empty(0, dtype=np.uint64)


def encoded(ids, characters: str) -> EncodedText:
    ids = np.asarray(ids, dtype=np.int32)
    counts = np.bincount(ids[ids >= 0], minlength=len(characters)).astype(np.int64)
    return EncodedText(ids, Alphabet(characters), counts, int((ids == END).sum()))


def naive(text: EncodedText, order: int, keep=None, min_count: int = 1) -> list[dict[str, int]]:
    """Counts by slicing strings between breaks."""
    kept = np.ones(len(text.alphabet), bool) if keep is None else keep
    pieces = "".join(
        text.alphabet.characters[i] if i >= 0 and kept[i] else "\0" for i in text.ids.tolist()
    ).split("\0")
    tables = []
    for n in range(1, order + 1):
        counts = Counter(p[i : i + n] for p in pieces for i in range(len(p) - n + 1))
        tables.append({ngram: c for ngram, c in counts.items() if c >= min_count})
    return tables


def tables_of(counts) -> list[dict[str, int]]:
    return [dict(counts.items(n)) for n in range(1, counts.order + 1)]


def same(one, other) -> bool:
    return one.total == other.total and all(
        np.array_equal(a, b)
        for a, b in zip((*one.keys, *one.counts), (*other.keys, *other.counts), strict=True)
    )


def wide_alphabet(size: int) -> str:
    """Distinct characters, no surrogates."""
    codes = [c for c in range(1, size + 3000) if not 0xD800 <= c < 0xE000]
    return "".join(map(chr, codes[:size]))


WIDE = wide_alphabet(70_000)


def random_text(seed: int, size: int, letters: int, wide: bool = False) -> EncodedText:
    rng = np.random.default_rng(seed)
    characters = WIDE if wide else wide_alphabet(max(letters, 1))
    # In the wide alphabet the last characters are used, so that every bit of a key is.
    ids = len(characters) - 1 - rng.geometric(2 / (letters + 1), size).clip(1, letters) % letters
    breaks = rng.random(size)
    ids = np.where(breaks < 0.06, END, np.where(breaks < 0.1, GAP, ids))
    # A few phrases come again and again, cut short by each other: long n-grams that repeat.
    phrases = [ids[at : at + 12].copy() for at in rng.integers(0, max(1, size - 12), 5)]
    for at in rng.integers(0, max(1, size - 12), size // 20):
        ids[at : at + 12] = phrases[at % 5][: size - at]
    return encoded(ids, characters)


# ---- worked example -------------------------------------------------------------------------


def test_counts_of_a_text_small_enough_to_check_by_hand():
    counts = count_ngrams(Corpus.from_lines(["天气好天气", "好天 气"]), order=3)
    assert counts.total == 8
    assert dict(counts.items(1)) == {"天": 3, "气": 3, "好": 2}
    # Neither the line end nor the space is crossed: no 气好 over the line end, one 天气 fewer.
    assert dict(counts.items(2)) == {"天气": 2, "气好": 1, "好天": 2}
    assert dict(counts.items(3)) == {"天气好": 1, "气好天": 1, "好天气": 1}
    assert [counts.size(n) for n in (1, 2, 3)] == [3, 3, 3]


def test_a_character_that_is_not_kept_breaks_ngrams_and_is_not_counted():
    text = encode(Corpus.from_lines(["好，好好", "好，好"]))
    counts = count_ngrams(text, order=2, keep=text.words_only)
    assert counts.total == 5
    assert tables_of(counts) == [{"好": 5}, {"好好": 1}]


def test_keys_are_ids_plus_one_first_character_highest():
    counts = count_ngrams(encoded([0, 1, 2, END], "abc"), order=2)
    assert counts.bits == 2
    assert counts.keys[0].tolist() == [0b01, 0b10, 0b11]
    assert counts.keys[1].tolist() == [0b0110, 0b1011]
    assert counts.keys[1].dtype == np.uint64
    assert counts.counts[1].dtype == np.int64


@pytest.mark.parametrize(
    ("size", "order", "words"), [(20_000, 4, 1), (65_535, 4, 1), (65_536, 4, 2), (200, 8, 1)]
)
def test_words_of_a_key(size, order, words):
    assert Packing.of(size, order).words == words


# ---- oracle ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(0, 400),
    letters=st.sampled_from([1, 2, 5, 40, 600]),
    order=st.integers(1, 8),
    min_count=st.sampled_from([1, 2, 3, 7]),
    masked=st.booleans(),
    wide=st.booleans(),
)
def test_equals_brute_force(seed, size, letters, order, min_count, masked, wide):
    text = random_text(seed, size, letters, wide)
    keep = np.random.default_rng(seed).random(len(text.alphabet)) < 0.8 if masked else None
    counts = count_ngrams(text, order, min_count=min_count, keep=keep)
    expected = naive(text, order, keep, min_count)
    assert tables_of(counts) == expected
    assert counts.total == sum(naive(text, 1, keep)[0].values())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(2000, 6000),
    letters=st.sampled_from([2, 30, 2000]),
    order=st.sampled_from([1, 3, 4, 6, 8]),
    min_count=st.sampled_from([1, 4]),
    wide=st.booleans(),
    memory=st.sampled_from([1, 60_000, 200_000]),
)
def test_chunks_and_disk_change_nothing(seed, size, letters, order, min_count, wide, memory):
    text = random_text(seed, size, letters, wide)
    whole = count_ngrams(text, order, min_count=min_count)
    assert same(whole, count_ngrams(text, order, min_count=min_count, memory=memory))


def test_ngrams_over_a_chunk_border_are_counted_once(monkeypatch):
    monkeypatch.setattr(chunks, "MIN_CHUNK", 3)
    text = encoded([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, END], "abc")
    for order in range(1, 9):
        assert tables_of(count_ngrams(text, order, memory=1)) == naive(text, order)


# ---- out of core ----------------------------------------------------------------------------


@pytest.fixture
def runs_written(monkeypatch):
    runs = []

    def watched(*args):
        runs.append(merge.write_run(*args))
        return runs[-1]

    monkeypatch.setattr(chunks, "write_run", watched)
    return runs


def test_small_memory_spills_runs_and_merges_them_in_parts(tmp_path, monkeypatch, runs_written):
    parts = []
    merge_all = merge._merge_all
    monkeypatch.setattr(merge, "_merge_all", lambda x: parts.append(len(x)) or merge_all(x))
    text = random_text(1, 20_000, 300)
    counts = count_ngrams(text, 4, memory=100_000, folder=tmp_path)
    assert len(runs_written) > 2
    assert len(parts) > 2  # several ranges of keys
    assert max(parts) == len(runs_written)
    assert tables_of(counts) == naive(text, 4)
    assert list(tmp_path.iterdir()) == []


def test_parts_of_a_merge_stay_within_memory(tmp_path):
    rng = np.random.default_rng(0)
    runs = []
    for index in range(7):
        keys = np.sort(rng.integers(0, 5000, 3000).astype(np.uint64))[:, None]
        runs.append(merge.write_run(tmp_path / f"{index}.run", fold(keys), 2))
    rows = sum(run.rows for run in runs)
    pieces = list(merge.merge_runs(runs, memory=32 * 1000))
    assert max(map(len, pieces)) <= 1000
    assert len(pieces) >= rows // 7 // 1000
    merged = np.concatenate(pieces)
    assert (np.diff(merged[:, 0].astype(np.int64)) > 0).all()
    assert merged[:, 1].sum() == 7 * 3000
    assert list(tmp_path.iterdir()) == []


def test_more_runs_than_may_be_open_are_merged_in_rounds(tmp_path, monkeypatch, runs_written):
    monkeypatch.setattr(merge, "MAX_RUNS", 3)
    text = random_text(2, 20_000, 50)
    counts = count_ngrams(text, 5, memory=1, folder=tmp_path)
    assert len(runs_written) > 9
    assert tables_of(counts) == naive(text, 5)
    assert list(tmp_path.iterdir()) == []


def test_a_result_larger_than_its_share_lies_on_disk(tmp_path):
    text = random_text(3, 20_000, 300)
    counts = count_ngrams(text, 6, memory=200_000, folder=tmp_path)
    base = counts.keys[3]
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)
    assert list(tmp_path.iterdir()) == []  # nameless
    assert tables_of(counts) == naive(text, 6)
    assert counts.count(counts.strings(4, [5])[0]) == counts.counts[3][5]


def test_workers_change_nothing(tmp_path):
    text = random_text(4, 20_000, 600)
    alone = count_ngrams(text, 8, min_count=3)
    assert alone.packing.words == 2
    assert alone.size(7) > 0
    together = count_ngrams(text, 8, min_count=3, workers=2, memory=400_000, folder=tmp_path)
    assert same(alone, together)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("order", "min_count"), [(1, 1), (4, 1), (4, 3), (8, 1), (8, 3)])
@pytest.mark.parametrize("size", [0, 1, 700, 20_000])
def test_threads_change_nothing(size, order, min_count):
    text = random_text(4, size, 600)
    alone = count_ngrams(text, order, min_count=min_count)
    for threads in (2, 5):
        assert same(alone, count_ngrams(text, order, min_count=min_count, threads=threads))


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_scratch_is_removed_when_counting_is_interrupted(tmp_path, error):
    seen = []

    def progress(done, size):
        seen.append(list(tmp_path.iterdir()))
        raise error

    with pytest.raises(type(error)):
        count_ngrams(random_text(5, 9000, 9), memory=50_000, folder=tmp_path, progress=progress)
    assert seen[0] != []
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_names_the_folder(tmp_path, monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(TaoluError, match="disk full while counting") as caught:
        memory_module.write_array(Full(), np.zeros(3), tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert not isinstance(caught.value, CorpusError)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_disk_that_refuses_more_leaves_nothing_behind(tmp_path):
    script = f"""
import resource, numpy as np
from taolu.count.ngrams import count_ngrams
from taolu.errors import TaoluError
from taolu.text.alphabet import Alphabet
from taolu.text.encode import EncodedText
ids = np.random.default_rng(0).integers(0, 50, 30000).astype(np.int32)
text = EncodedText(ids, Alphabet("".join(map(chr, range(100, 150)))), np.bincount(ids), 0)
count_ngrams(text, 4)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    count_ngrams(text, 4, memory=100_000, folder={str(tmp_path)!r})
except TaoluError as error:
    assert {str(tmp_path)!r} in str(error), error
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(chunks.__file__).parents[2])
    assert list(tmp_path.iterdir()) == []


# ---- the result -----------------------------------------------------------------------------


def test_min_count_is_applied_to_each_order_after_exact_counting():
    # Erratum E11: with the cut on 4-grams first, ab would be lost: each abxx occurs once.
    lines = ["ab" + 2 * chr(ord("a") + i) for i in range(2, 12)]
    counts = count_ngrams(Corpus.from_lines(lines), order=4, min_count=10)
    assert tables_of(counts) == [{"a": 10, "b": 10}, {"ab": 10}, {}, {}]
    assert counts.total == 40


def test_long_ngrams_are_found_next_to_rare_ones():
    # 7-grams are frequent, every 8-gram is rare: the search for long ones must not lose them.
    lines = ["abcdefg" + chr(0x4E00 + i) for i in range(200)]
    text = encode(Corpus.from_lines(lines * 1 + [WIDE[300:20_000]]))
    counts = count_ngrams(text, order=8, min_count=100)
    assert counts.packing.words == 2
    assert tables_of(counts) == naive(text, 8, min_count=100)
    assert [counts.size(n) for n in range(1, 9)] == [7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("wide", [False, True])
def test_lookups(wide):
    text = random_text(6, 3000, 20, wide)
    counts = count_ngrams(text, order=5)
    expected = naive(text, 5)
    for n in range(1, 6):
        assert counts.strings(n) == list(dict(counts.items(n)))
        assert np.array_equal(counts.counts_of(counts.keys[n - 1], n), counts.counts[n - 1])
        for ngram, count in list(expected[n - 1].items())[:50]:
            assert counts.count(ngram) == count
        ranked = sorted(expected[n - 1].values(), reverse=True)
        assert [count for _, count in counts.top(n, 10)] == ranked[:10]
    absent = text.alphabet.characters[-1] * 5
    assert counts.count(absent) == expected[4].get(absent, 0)
    assert counts.count("\U0010ffff") == 0  # not in the alphabet
    assert counts.top(5, 0) == []
    assert len(counts.top(1, 10**6)) == counts.size(1)


def test_top_breaks_ties_by_key():
    counts = count_ngrams(encoded([0, 1, 2, 1, 0, END], "abc"), order=1)
    assert counts.top(1, 2) == [("a", 2), ("b", 2)]
    assert counts.top(1, 1) == [("a", 2)]


@pytest.mark.parametrize("order", [1, 4, 8])
def test_empty_text_gives_empty_tables(order):
    counts = count_ngrams(Corpus.from_lines([]), order=order)
    assert counts.total == 0
    assert tables_of(counts) == [{}] * order
    assert count_ngrams(encoded([], ""), order, workers=2).total == 0
    text = random_text(7, 100, 5)
    nothing = count_ngrams(text, order, keep=np.zeros(len(text.alphabet), bool), min_count=2)
    assert nothing.total == 0
    assert tables_of(nothing) == [{}] * order


def test_sources_and_progress(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("好好学习。\n", encoding="utf-8")
    second.write_text("天天向上。\n", encoding="utf-8")
    seen = []
    counts = count_ngrams([first, second], order=2, progress=lambda *at: seen.append(at))
    assert counts.count("好好") == counts.count("天天") == 1
    assert count_ngrams(first, order=1).total == 5
    assert same(count_ngrams(str(tmp_path), order=2), counts)
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    seen.clear()


@pytest.mark.parametrize("min_count", [1, 2, 5000])
def test_progress_ends_at_its_size(min_count):
    seen = []
    text = random_text(8, 5000, 600)
    count_ngrams(text, 8, min_count=min_count, memory=60_000, progress=lambda *at: seen.append(at))
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


# ---- the parts ------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(0, 300), words=st.integers(1, 3))
def test_sort_keys_of_several_words(seed, size, words):
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, rng.choice([2, 1 << 10, 1 << 32]), (size, words)).astype(np.uint64)
    expected = sorted(map(tuple, keys.tolist()))
    assert list(map(tuple, sort_keys(keys, Packing(8, 4, 4 * words)).tolist())) == expected


@pytest.mark.parametrize("size", [1000, 20_000])
def test_sort_keys_in_large_buckets(size):
    rng = np.random.default_rng(size)
    keys = rng.integers(0, 1 << 60, (size, 2)).astype(np.uint64)
    keys[:, 0] &= np.uint64(0x3)  # one bucket
    expected = keys[np.lexsort(keys.T[::-1])]
    assert np.array_equal(sort_keys(keys, Packing(15, 4, 8)), expected)


@pytest.mark.parametrize("bits", [1, 9, 15, 17, 21])
def test_keys_unpack_to_what_was_packed(bits):
    size = (1 << bits) - 1
    packing = Packing.of(size, 8)
    ids = np.random.default_rng(bits).integers(0, size, 8).astype(np.int32)
    for order in range(1, 9):
        key = pack_one(ids[:order], packing)
        assert unpack(key[None], order, packing)[0].tolist() == ids[:order].tolist()
    codes = np.arange(1, size + 1, dtype=np.uint64)
    full = pack(ids, codes, 1, packing, NO_KEYS)
    # The long key is shifted to the top of its last word; on full words the two agree.
    if packing.order % packing.width == 0:
        assert full[0].tolist() == pack_one(ids, packing).tolist()


# ---- arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, "`order` must be from 1 to 8. Received: order=0."),
        ({"order": 9}, "`order` must be from 1 to 8. Received: order=9."),
        ({"min_count": 0}, "`min_count` must be at least 1. Received: min_count=0."),
        ({"workers": 0}, "`workers` must be at least 1. Received: workers=0."),
        ({"memory": "much"}, "Received: memory='much'."),
        ({"keep": np.ones(2, bool)}, "`keep` must be a bool array with one entry for each of the"),
        ({"keep": np.ones(3)}, "dtype float64, shape \\(3,\\)"),
        ({"folder": "/nowhere/at/all"}, "`folder` must be an existing folder"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        count_ngrams(encoded([0, 1, 2, END], "abc"), **options)


def test_orders_that_were_not_counted():
    counts = count_ngrams(encoded([0, 1, 2, END], "abc"), order=2)
    for wrong in (lambda: counts.size(3), lambda: counts.count("abc"), lambda: counts.count("")):
        with pytest.raises(ValueError, match="`order` must be from 1 to 2"):
            wrong()


@pytest.mark.parametrize(
    ("amount", "size"),
    [("2GB", 2 * 10**9), ("500 mb", 5 * 10**8), ("1GiB", 1 << 30), ("7", 7), ("3B", 3), (9, 9)],
)
def test_parse_bytes(amount, size):
    assert parse_bytes(amount) == size


@pytest.mark.parametrize("amount", ["", "GB", "-1GB", "2 QB", "iB", 0, -5, 2.5, True, None])
def test_parse_bytes_refuses(amount):
    with pytest.raises(ValueError, match="`memory` must be a positive number of bytes"):
        parse_bytes(amount)
