"""Taggers beside python-crfsuite: words and entities, each trained on one file, scored on another.

    python benchmarks/tagging.py book news.taolu          a codebook out of raw training text
    python benchmarks/tagging.py run resume --with news.taolu --vectors
    python benchmarks/tagging.py run resume --heads       every head on one encoder
    python benchmarks/tagging.py peer resume              python-crfsuite on the same files

Everything is chosen on a tenth of the training file; the test file is read once, at the end. The
codebook is mined from the characters of training files and of texts without labels; no test file is
among them.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import corpora
import numpy as np

from taolu.mine.span_score import score_spans
from taolu.text.corpus import Corpus
from taolu.text.layouts import TaggedSentence
from taolu.text.schemes import BMES, BMESO, SCHEMES
from taolu.text.spans import repaired_spans
from taolu.text.tagged import TaggedCorpus, read_tagged

SXU_TRAIN_LINES = 15_400
# Name -> training file, test file, what is tagged. SXU is one file, cut in two.
SETS = {
    "pku": ("cws_pd1998/folds1-4.txt.xz", "cws_sighan2005/pku_test_gold.utf8.xz"),
    "sxu": ("cws_multi/sxu_train.txt.xz", "cws_multi/sxu_train.txt.xz"),
    "msra": ("ner_msra/train.bio.txt.xz", "ner_peoples_daily/dev.bio.txt.xz"),
    "resume": ("ner_resume/train.char.bmes.xz", "ner_resume/dev.char.bmes.xz"),
    "cluener": ("ner_cluener/train.json.xz", "ner_cluener/dev_a.json.xz"),
}
# What was chosen on a tenth of the training file.
CHOSEN: dict[str, dict] = {
    "pku": {"epochs": 3, "dropout": 0.4},
    "sxu": {"epochs": 6, "dropout": 0.4, "patience": 3},
    "msra": {"epochs": 4, "dropout": 0.4},
    "resume": {"epochs": 12, "dropout": 0.5, "patience": 4},
    "cluener": {"epochs": 7, "dropout": 0.5, "patience": 4},
}
SMALL = ["我 爱 北京", "北京 人 爱 天津", "你们 去 天津", "他 爱 我们", "天津 人 去 北京"] * 12


def data(name: str) -> tuple[TaggedCorpus, TaggedCorpus]:
    """Training and test sentences of a set."""
    if name == "small":
        return tuple(read_tagged(Corpus.from_lines(lines)) for lines in (SMALL, SMALL[:5]))
    train, test = (corpora.folder() / file for file in SETS[name])
    if name == "sxu":
        lines = corpora.stored_lines(SETS[name][0])
        parts = lines[:SXU_TRAIN_LINES], lines[SXU_TRAIN_LINES:]
        return tuple(read_tagged(Corpus.from_lines(part)) for part in parts)
    comment = "#fold" if name == "pku" else ""
    return read_tagged(train, repair=True, comment=comment), read_tagged(test, repair=True)


def raw_lines(without: Collection[str] = ()) -> Iterator[str]:
    """Characters of training files and of texts without labels.

    A dictionary that was mined from the training text knows its words better than those of other
    text, and a tagger that learns with it trusts it too much: leave that file out.
    """
    for name in ("sxu", "msra", "resume", "cluener", "pku"):
        if name not in without:
            yield from (sentence.text for sentence in data(name)[0])
    for line in corpora.stored_lines("cls_nlpcc2017_headlines/train.word.xz"):
        yield "".join(line.split("\t")[-1].split())
    yield from (
        line.split("\t")[0] for line in corpora.stored_lines("cls_thucnews_titles/dev.txt.xz")
    )
    for name in ("cls_fewclue/tnews/unlabeled.json.xz", "cls_fewclue/eprstmt/unlabeled.json.xz"):
        yield from (json.loads(line)["sentence"] for line in corpora.stored_lines(name) if line)
    for line in corpora.stored_lines("el_ccks2019/train_sample.json.xz"):
        if line:
            yield json.loads(line)["text"]


def character_vectors() -> dict[str, np.ndarray]:
    """The vectors of Tencent, 4,762 characters x 200."""
    name = "weights_tencent_char_embedding"
    rows = json.loads("\n".join(corpora.stored_lines(f"{name}/vocab.json.xz")))
    table = np.load(corpora.folder() / name / "embedding_Tencent.npz")["embeddings"]
    return {c: table[row].astype("float32") for c, row in rows.items() if len(c) == 1}


def make_book(folder: str, without: Collection[str] = ()) -> None:
    """Mines the codebook."""
    import taolu

    lines = [line for line in raw_lines(without) if line.strip()]
    book = taolu.learn(Corpus.from_lines(lines))
    book.save(folder)
    print(f"{sum(map(len, lines)):,} characters, {len(book.words):,} words, {folder}")


def train_and_score(name, settings, book, vectors) -> tuple[list[str], dict]:
    """One row of the table, and the scores."""
    from taolu.tasks import train_tagger

    train, test = data(name)
    with tempfile.TemporaryDirectory() as place:
        started = time.perf_counter()
        tagger = train_tagger(
            train, Path(place) / "model", settings=settings, book=book, vectors=vectors
        )
        seconds = time.perf_counter() - started
    texts = [sentence.text for sentence in test]
    found = tagger.predict(texts)
    rate = characters_a_second(tagger, texts)
    score = tagger.score(test, found)
    row = [
        f"{tagger.metrics['score']['f1']:.4f}",
        *(f"{score[key]:.4f}" for key in ("precision", "recall", "f1")),
        f"{score['unseen']['recall']:.4f}" if score["unseen"] else "",
        f"{tagger.metrics['weights'] / 1e6:.2f}",
        f"{len(tagger.metrics['epochs'])} ({tagger.metrics['best_epoch']})",
        f"{seconds / 60:.1f}",
        f"{rate / 1e3:.0f}",
    ]
    return row, score


def characters_a_second(tagger, texts, repeat: int = 5) -> float:
    """Median over turns, after one that compiles."""
    texts = texts[:2000]
    tagger.predict(texts)
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        tagger.predict(texts)
        times.append(time.perf_counter() - started)
    return sum(map(len, texts)) / statistics.median(times)


HEAD = (
    "held-out F1",
    "precision",
    "recall",
    "test F1",
    "OOV recall",
    "M weights",
    "epochs (best)",
    "minutes",
    "k characters/s",
)


def run(arguments) -> None:
    """Trains and prints the table."""
    from taolu.mine.codebook import Codebook
    from taolu.tasks import TagSettings
    from taolu.tasks.tag_target import HEADS

    print(corpora.heading("keras", "jax"))
    book = Codebook.load(arguments.book) if arguments.book else None
    vectors = character_vectors() if arguments.vectors else None
    rows = []
    for name in arguments.sets:
        settings = TagSettings(**CHOSEN.get(name, {}) | json.loads(arguments.settings))
        heads = HEADS if arguments.heads else (settings.head,)
        for head in heads:
            row, _ = train_and_score(name, replace(settings, head=head), book, vectors)
            used = [part for part, there in (("book", book), ("vectors", vectors)) if there]
            rows.append([f"{name}, {settings.encoder}, {' + '.join([head, *used])}", *row])
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    print("\n" + corpora.table(("set, encoder, head", *HEAD), rows), flush=True)


# ---------------------------------------------------------------- the peer


def templates(text: str) -> list[list[str]]:
    """Features of each character: five characters, four pairs, and the pair around it."""
    text = f"##{text}##"
    return [
        [
            *(f"{d}{text[i + d]}" for d in range(-2, 3)),
            *(f"p{d}{text[i + d : i + d + 2]}" for d in range(-2, 2)),
            f"s{text[i - 1]}{text[i + 1]}",
        ]
        for i in range(2, len(text) - 2)
    ]


def folded(sentence: TaggedSentence) -> TaggedSentence:
    """The sentence in NFKC, if that keeps its characters apart."""
    text = "".join(
        c if len(n := unicodedata.normalize("NFKC", c)) != 1 else n for c in sentence.text
    )
    return replace(sentence, text=text)


def peer(arguments) -> None:
    """python-crfsuite: L-BFGS, c2 1, 100 iterations, all transitions."""
    import pycrfsuite

    print(corpora.heading("python-crfsuite"))
    rows = []
    for name in arguments.sets:
        train, test = (list(map(folded, part)) if arguments.fold else part for part in data(name))
        covers = name in ("pku", "sxu", "small")
        scheme = BMES if covers else BMESO
        trainer = pycrfsuite.Trainer(verbose=False)
        for sentence in train:
            trainer.append(pycrfsuite.ItemSequence(templates(sentence.text)), sentence.tags(scheme))
        trainer.set_params({"c2": 1.0, "max_iterations": 100, "feature.possible_transitions": True})
        with tempfile.TemporaryDirectory() as place:
            started = time.perf_counter()
            trainer.train(f"{place}/model")
            seconds = time.perf_counter() - started
            tagger = pycrfsuite.Tagger()
            tagger.open(f"{place}/model")
            texts = [sentence.text for sentence in test]
            started = time.perf_counter()
            tags = [tagger.tag(templates(text)) for text in texts]
            rate = sum(map(len, texts)) / (time.perf_counter() - started)
        found = [repaired_spans(one, SCHEMES[scheme.name]) for one in tags]
        score = score_spans([sentence.spans for sentence in test], found).overall
        shares = (f"{v:.4f}" for v in (score.precision, score.recall, score.f1))
        rows.append(
            [
                f"{name}{', NFKC' if arguments.fold else ''}",
                *shares,
                f"{seconds / 60:.1f}",
                f"{rate / 1000.0:.0f}",
            ]
        )
    names = ("python-crfsuite", "precision", "recall", "test F1", "minutes", "k characters/s")
    print("\n" + corpora.table(names, rows), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    verbs = parser.add_subparsers(required=True)
    book = verbs.add_parser("book", help="mine the codebook")
    book.add_argument("folder")
    book.add_argument("--without", nargs="*", default=(), choices=SETS, help="leave out its text")
    book.set_defaults(work=lambda arguments: make_book(arguments.folder, arguments.without))
    for verb, work in (("run", run), ("peer", peer)):
        one = verbs.add_parser(verb, help=work.__doc__)
        one.add_argument("sets", nargs="+", choices=[*SETS, "small"])
        one.set_defaults(work=work)
        if verb == "peer":
            one.add_argument("--fold", action="store_true", help="NFKC of both sides")
            continue
        one.add_argument("--with", dest="book", help="codebook")
        one.add_argument("--vectors", action="store_true", help="begin with Tencent's vectors")
        one.add_argument("--heads", action="store_true", help="every head")
        one.add_argument("--settings", default="{}", help="JSON of TagSettings to change")
    arguments = parser.parse_args()
    arguments.work(arguments)


if __name__ == "__main__":
    main()
