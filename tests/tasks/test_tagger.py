"""Training and its folder: what is learned is found again, after a kill, a save, in any batch."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest

from taolu.errors import CorpusError, ModelError
from taolu.tasks import Tagger, TagSettings, train_tagger
from taolu.tasks.tag_data import _batch_characters, _hold_out, prepare
from taolu.tasks.tag_target import TagTarget
from taolu.text.corpus import Corpus
from taolu.text.schemes import BIO, BMES, BMESO
from taolu.text.spans import Span
from taolu.text.tagged import read_tagged

pytestmark = pytest.mark.usefixtures("fast_compile_module")

NAMES, PLACES, VERBS = ("小明", "王小红", "李"), ("北京", "上海", "乌鲁木齐"), ("去", "在", "离开")
TEXTS = [f"{name}{verb}{place}了。" for name in NAMES for verb in VERBS for place in PLACES]
TINY = TagSettings(width=16, depth=1, epochs=4, batch_characters=64, learning_rate=0.02, dropout=0)


def entities(texts=TEXTS):
    """Names and places, as JSON lines."""
    records = []
    for text in texts:
        found = [
            {"start": text.index(word), "end": text.index(word) + len(word), "label": label}
            for label, known in (("PER", NAMES), ("LOC", PLACES))
            for word in known
            if word in text
        ]
        records.append(json.dumps({"text": text, "entities": found}, ensure_ascii=False))
    return read_tagged(Corpus.from_lines(records * 2))


def words():
    lines = [f"{n} {v} {p} 了 。" for n in NAMES for v in VERBS for p in PLACES]
    return read_tagged(Corpus.from_lines(lines * 2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tagger of entities, as it came out of training, and its folder."""
    folder = tmp_path_factory.mktemp("tagger") / "ner.model"
    return train_tagger(entities(), folder, settings=TINY), folder


def test_what_was_learned_is_found(trained):
    tagger, _ = trained
    assert tagger.metrics["score"]["f1"] == 1
    text = "王小红离开乌鲁木齐了。"
    assert tagger.predict([text]) == [[Span(0, 3, "PER"), Span(5, 9, "LOC")]]


def test_offsets_count_characters_of_the_text_as_it_came(trained):
    tagger, _ = trained
    # ㌔ becomes キロ: what stands behind it moves in the folded text only.
    for before in ("㌔", "ｶﾞ", "é", "Ａ"):
        [spans] = tagger.predict([before + "小明去北京了。"])
        assert Span(len(before) + 3, len(before) + 5, "LOC") in spans


def test_a_text_is_read_alike_alone_and_among_others(trained):
    tagger, _ = trained
    texts = [*TEXTS, "", "去", TEXTS[0] * 9]
    together = tagger.predict(texts)
    assert together == [tagger.predict([text])[0] for text in texts]
    assert together[len(TEXTS)] == []


def test_a_long_text_is_read_in_windows_and_nothing_is_lost(trained):
    tagger, _ = trained
    text = "".join(TEXTS) * 3
    assert len(text) > 2 * tagger.widths[-1]
    [spans] = tagger.predict([text])
    wanted, start = [], 0
    for part in TEXTS * 3:
        [one] = tagger.predict([part])
        wanted += [Span(start + s.start, start + s.stop, s.label) for s in one]
        start += len(part)
    assert len(set(wanted) ^ set(spans)) <= 0.02 * len(wanted)  # its neighbours are others


def test_a_folder_gives_the_same_tagger_again(trained):
    tagger, folder = trained
    again = Tagger.load(folder)
    for one, other in zip(tagger.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert again.predict(TEXTS) == tagger.predict(TEXTS)
    assert again.metrics == json.loads(json.dumps(tagger.metrics))
    assert (folder / "report.html").is_file()


class Killed(Exception):
    pass


def test_a_training_that_is_killed_and_resumed_ends_in_the_same_weights(trained, tmp_path):
    whole, _ = trained
    folder = tmp_path / "ner.model"

    def kill(stage, done, total):
        if stage.startswith("epoch 3") and done == 2:
            raise Killed

    with pytest.raises(Killed):
        train_tagger(entities(), folder, settings=TINY, report=kill)
    assert not folder.exists()
    with pytest.raises(ModelError, match=r"ner\.model\.partial: a training that was not finished"):
        train_tagger(entities(), folder, settings=TINY)
    other = TagSettings(**{**vars(TINY), "learning_rate": 0.01})
    with pytest.raises(ModelError, match=r"learning_rate=0\.02\. Received: learning_rate=0\.01"):
        train_tagger(entities(), folder, settings=other, resume=True)
    with pytest.raises(ModelError, match="other sentences"):
        train_tagger(entities(TEXTS[1:]), folder, settings=TINY, resume=True)
    begun = []
    resumed = train_tagger(
        entities(),
        folder,
        settings=TINY,
        resume=True,
        report=lambda stage, *_: begun.append(stage.split(":")[0]),
    )
    assert "epoch 2" not in begun
    assert "epoch 3" in begun
    for one, other in zip(whole.model.weights, resumed.model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert resumed.metrics["score"] == whole.metrics["score"]
    assert not folder.with_name("ner.model.partial").exists()


def test_what_is_wrong_with_a_folder_is_named(trained, tmp_path):
    _, folder = trained
    with pytest.raises(ModelError, match=r"none\.model: there is no such model folder\."):
        Tagger.load(tmp_path / "none.model")
    broken = tmp_path / "broken.model"
    shutil.copytree(folder, broken)
    data = bytearray((broken / "model.keras").read_bytes())
    data[len(data) // 2] ^= 1
    (broken / "model.keras").write_bytes(bytes(data))
    with pytest.raises(ModelError, match=r"model\.keras: has changed since the model was saved"):
        Tagger.load(broken)
    (broken / "vocabulary.json").unlink()
    (broken / "model.keras").write_bytes((folder / "model.keras").read_bytes())
    with pytest.raises(ModelError, match=r"the file vocabulary\.json is missing"):
        Tagger.load(broken)
    with pytest.raises(ModelError, match="exists already"):
        train_tagger(entities(), folder, settings=TINY)


def test_words_are_cut_and_whitespace_is_their_border(tmp_path):
    settings = TagSettings(**{**vars(TINY), "head": "softmax", "epochs": 6})
    tagger = train_tagger(words(), tmp_path / "cut.model", settings=settings)
    assert tagger.cut("小明 去\u3000北京了。") == ["小明", "去", "北京", "了", "。"]
    assert tagger.predict(["  "]) == [[]]
    assert tagger.metrics["score"]["unseen"]["share"] == 0
    assert Tagger.load(tmp_path / "cut.model").words == frozenset(
        (*NAMES, *PLACES, *VERBS, "了", "。")
    )


def test_entities_are_no_words(trained):
    with pytest.raises(ValueError, match="Received: one of LOC, PER"):
        trained[0].cut("小明")


def test_settings_and_data_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match=r"`head` must be one of softmax.*Received: 'crv'"):
        TagSettings(head="crv")
    with pytest.raises(ValueError, match=r"`epochs` must be at least 1. Received: epochs=0"):
        TagSettings(epochs=0)
    with pytest.raises(ValueError, match="Received: dropout=1"):
        TagSettings(dropout=1)
    with pytest.raises(ValueError, match="Received: learning_rate=nan"):
        TagSettings(learning_rate=float("nan"))
    one = read_tagged(Corpus.from_lines(["我 爱 北京"]))
    with pytest.raises(CorpusError, match="too few sentences"):
        train_tagger(one, tmp_path / "a")
    nothing = read_tagged(Corpus.from_lines(["好 O", "", "好 O", ""]))
    with pytest.raises(CorpusError, match="nothing to learn"):
        train_tagger(nothing, tmp_path / "a")
    with pytest.raises(ValueError, match="mixed=True without one"):
        train_tagger(words(), tmp_path / "a", settings=TagSettings(mixed=True))
    with pytest.raises(ValueError, match="Received: BMES"):
        train_tagger(entities(), tmp_path / "a", settings=TagSettings(scheme="BMES"))
    assert not (tmp_path / "a").exists()


def test_windows_that_overlap_give_every_span_once():
    target = TagTarget("crf", ("LOC",), BMESO, covers=False, nested=False)
    ids = {tag: i for i, tag in enumerate(target.tags)}
    tags = ["O", "B-LOC", "M-LOC", "E-LOC", "O", "S-LOC"]
    states = np.array([ids[tag] for tag in tags])
    parts = [(0, 4, 0, 3), (2, 6, 3, 6)]
    found = target.spans(parts, [states[:4], states[2:]])
    assert found == [Span(1, 4, "LOC"), Span(5, 6, "LOC")]


def test_scores_of_spans_give_the_best_that_do_not_overlap_or_all_that_nest():
    cells = np.zeros((1, 4, 4))
    cells[0, 0, 1], cells[0, 1, 3], cells[0, 2, 2] = 2, 3, 1
    part = [(0, 4, 0, 4)]
    flat = TagTarget("pointer", ("X",), BMESO, covers=False, nested=False)
    assert flat.spans(part, [cells]) == [Span(1, 4, "X")]
    nested = TagTarget("pointer", ("X",), BMESO, covers=False, nested=True)
    assert nested.spans(part, [cells]) == [Span(0, 2, "X"), Span(1, 4, "X"), Span(2, 3, "X")]
    covers = TagTarget("pointer", ("",), BMES, covers=True, nested=False)
    assert covers.spans(part, [cells]) == [Span(0, 1), Span(1, 4)]


def test_labels_of_a_batch_are_what_its_head_learns():
    from taolu.tasks.tag_examples import Example

    examples = [Example("在北京", (Span(1, 3, "LOC"),))]
    target = TagTarget("crf", ("LOC",), BMESO, covers=False, nested=False)
    found = target.of_batch([target.learned(e) for e in examples], width=4, size=2)
    assert [target.tags[i] for i in found[0, :3]] == ["O", "B-LOC", "E-LOC"]
    assert found[0, 3] == -1
    assert (found[1] == -1).all()
    pointer = TagTarget("pointer", ("LOC",), BMESO, covers=False, nested=False)
    cells = pointer.of_batch([pointer.learned(e) for e in examples], width=4, size=2)
    assert cells.shape == (2, 1, 4, 4)
    assert list(zip(*np.nonzero(cells), strict=True)) == [(0, 0, 1, 2)]
    assert TagTarget.from_config(json.loads(json.dumps(pointer.as_config()))) == pointer


@pytest.mark.slow
def test_a_training_can_begin_from_another_tagger(trained, tmp_path):
    known, folder = trained
    one = TagSettings(**{**vars(TINY), "epochs": 1, "learning_rate": 1e-5})
    fresh = train_tagger(entities(), tmp_path / "fresh.model", settings=one)
    begun = train_tagger(entities(), tmp_path / "begun.model", settings=one, start=folder)
    assert fresh.metrics["score"]["f1"] < 0.5
    assert begun.metrics["score"]["f1"] > 0.95
    assert begun.features.characters == known.features.characters
    # Other labels: the head and its scores begin anew, the rest is kept.
    words_begun = train_tagger(words(), tmp_path / "words.model", settings=one, start=folder)
    table = "characters_embedding"
    kept, before = (t.model.get_layer(table).get_weights()[0] for t in (words_begun, known))
    np.testing.assert_allclose(kept, before, atol=1e-3)
    with pytest.raises(ValueError, match="`vectors` cannot go with `start`"):
        train_tagger(words(), tmp_path / "x", start=folder, vectors={"北": np.ones(64)})


def test_words_leave_no_character_out_whatever_the_scheme():
    target = TagTarget("softmax", ("",), BIO, covers=True, nested=False)
    assert target.tags == ("O", "B", "I")
    found = target.spans([(0, 5, 0, 5)], [np.array([0, 1, 2, 0, 0])])
    assert found == [Span(0, 1), Span(1, 3), Span(3, 5)]


def test_text_with_whitespace_is_no_chain_of_words(tmp_path):
    data = read_tagged(Corpus.from_lines(["在 S", "  S", "好 B", "的 E", ""] * 30))
    ready = prepare(data, None, TINY)
    assert not ready.target.covers
    assert ready.target.scheme is BMESO
    assert prepare(words(), None, TINY).target.covers


@pytest.mark.parametrize(
    ("characters", "batch"),
    [(0, 512), (52_000, 512), (111_000, 1024), (204_799, 1024), (204_800, 2048), (9**9, 2048)],
)
def test_batches_follow_the_size_of_the_data(characters, batch):
    assert _batch_characters(characters) == batch


@pytest.mark.parametrize("count", [2, 3, 48, 1000, 40_000])
def test_a_tenth_is_held_out_in_runs_of_neighbours(count):
    kept, held_out = _hold_out(list(range(count)), seed=0)
    assert sorted([*kept, *held_out]) == list(range(count))
    assert len(held_out) == min(3000, -(-count // 10))
    assert kept == sorted(kept)
    starts = sum(b - a > 1 for a, b in pairwise(held_out)) + 1
    assert starts <= 10
    assert _hold_out(list(range(count)), seed=0)[1] == held_out


def test_labels_to_score_must_be_among_those_learned(tmp_path):
    with pytest.raises(
        CorpusError, match="no span with a label of those to learn from: 'LOC', 'PER'"
    ):
        prepare(entities(), words(), TINY)


def test_words_scored_on_entities_have_no_unseen_ones(trained):
    tagger, _ = trained
    gold = list(entities())
    score = tagger.score(gold, [sentence.spans for sentence in gold])
    assert score["f1"] == 1
    assert score["unseen"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "title"}, "trained for the task 'title'"),
        ({"format": 9}, "format 9 is not format 1"),
        ({"target": None}, "lacks target"),
        ({"target": {"scheme": "XYZ"}}, "do not go together"),
        ({"kind": "taolu codebook"}, "does not describe a taolu model"),
    ],
    ids=["task", "format", "missing", "scheme", "kind"],
)
def test_a_configuration_that_cannot_be_used(trained, tmp_path, change, message):
    folder = tmp_path / "m.model"
    shutil.copytree(trained[1], folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for name, value in change.items():
        if value is None:
            del config[name]
        else:
            config[name] = {**config[name], **value} if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelError, match=message):
        Tagger.load(folder)


def test_a_training_that_has_done_no_epoch_is_begun_anew(tmp_path):
    folder = tmp_path / "ner.model"
    partial = tmp_path / "ner.model.partial"
    partial.mkdir()
    (partial / "epoch-1.keras").write_text("half")

    def kill(stage, done, total):
        if total:
            assert not list(partial.iterdir())
            raise Killed

    for resume in (False, True):
        with pytest.raises(Killed):
            train_tagger(entities(), folder, settings=TINY, report=kill, resume=resume)
    (partial / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match="is no unfinished training"):
        train_tagger(entities(), folder, settings=TINY)
    (partial / "state.json").write_text("{no", "utf-8")
    with pytest.raises(ModelError, match=r"state\.json: is damaged"):
        train_tagger(entities(), folder, settings=TINY, resume=True)
