"""The whole climb: raw text in, a codebook out, one ledger line a step.

    characters   the plain character unigram
    words        the dictionary of new-word discovery, its uses counted by hard EM
    lexicon      the dictionary under which text and dictionary together are shortest
    templates    the words of the last step, and templates that skip words and take others in
    groups       the same words in groups: each group given the one before, then the word given
                 its group

Every line describes the same characters in the same unit, the codebook charged; a step is kept
only if its total falls.
"""

import os
from collections.abc import Callable, Collection, Iterable
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np

from taolu.bits.codelength import Ledger
from taolu.count.memory import parse_bytes
from taolu.errors import CorpusError
from taolu.mine.codebook import Codebook, Words
from taolu.mine.discover import default_min_count, discover
from taolu.mine.lexicon import (
    Lexicon,
    character_step,
    fit_lexicon,
    learn_lexicon,
    saved_bits,
)
from taolu.mine.measure import measure_words
from taolu.mine.patterns import learn_patterns
from taolu.text.corpus import Corpus, Source
from taolu.text.encode import END, GAP, EncodedText, Progress, encode
from taolu.text.normalize import OTHER, WORD
from taolu.text.spool import stream_name

PASSAGE_CHARACTERS = 240
MARGIN = 2.0

# Passes over the text a step usually takes, for the time left.
COUNTING_PASSES = 8  # counting all n-grams takes about as long
WORDS_PASSES = 14
LEXICON_PASSES = 20

# Told what is being done and how far: stage, done, size (0 where it is not known).
Report = Callable[[str, int, int], None]


def learn(
    source: Corpus | Source | Iterable[Source] | None = None,
    *,
    known: Collection[str] = (),
    margin: float = MARGIN,
    min_count: int | None = None,
    max_length: int = 8,
    memory: int | str = "2GB",
    workers: int = 1,
    threads: int | None = None,
    report: Report | None = None,
) -> Codebook:
    """Returns what raw text teaches: a dictionary, and a ledger of what each step saved.

    Args:
        source: A file, folder, several of them, or a `Corpus`; by default the bundled sample.
        known: Words of the user's dictionary; new ones are ranked first.
        margin: Bits a word must save per use for each border between characters it removes; more
            for borders between words. 0 gives the shortest description, 3.3 words closest to a
            dictionary's, best for segmentation.
        min_count: Fewest occurrences of a discovered word; by default 4 to 32 with the text.
        max_length: Longest word of the lexicon, 2 to 64 characters.
        memory: Bound on the memory of counting, such as "2GB".
        workers: Worker processes for counting.
        threads: Threads for the passes over the text; by default one for each core.
        report: Called as `report(stage, done, size)`.

    Raises:
        CorpusError: The text cannot be read, is empty, or holds nothing but punctuation.
        ValueError: An argument is out of range.

    Example:
        >>> places = "北京", "天安门"
        >>> lines = [a + b + c for a in "我你他在去看" for b in places for c in "好大美吧吗了"]
        >>> book = learn(Corpus.from_lines(lines))
        >>> book.words.word[:2], [step.step for step in book.ledger]
        (('天安门', '北京'), ['characters', 'words', 'lexicon', 'groups'])
        >>> book.groups.group_of("北京")
        ('北京', '天安门')

    References:
        Su Jianlin, 最小熵原理（二）：“当机立断”之词库构建, 2018.
        Su Jianlin, 最小熵原理（三）：“飞象过河”之句模版和语言结构, 2018.
        Su Jianlin, 最小熵原理（五）：“层层递进”之社区发现与聚类, 2019.
        Rissanen, J., Modeling by shortest data description, 1978.
    """
    parse_bytes(memory)
    tell = report or (lambda stage, done, size: None)
    corpus = sample() if source is None else Corpus.of(source)
    threads = threads or os.cpu_count() or 1
    text = encode(corpus, lambda done, size: tell("read", done, size))
    _check(text, corpus)
    ledger = Ledger().add(character_step(text))
    usual = COUNTING_PASSES + WORDS_PASSES
    tell("words", 0, usual)
    found = discover(
        text,
        min_count=min_count,
        measure=False,
        memory=memory,
        workers=workers,
        threads=threads,
        progress=lambda done, size: tell("words", COUNTING_PASSES * done // max(1, size), usual),
    )
    tick = _passes(tell, "words", usual, COUNTING_PASSES)
    words = fit_lexicon(text, found.word, found.count, threads=threads, tick=tick)
    steps = [("words", words)]
    ledger = ledger.add(words.step("words", text))
    lexicon = learn_lexicon(
        text,
        words.words,
        words.counts,
        margin=margin,
        max_length=max_length,
        threads=threads,
        tick=_passes(tell, "lexicon", LEXICON_PASSES),
    )
    steps.append(("lexicon", lexicon))
    ledger = ledger.add(lexicon.step("lexicon", text))
    taken = {step.step for step in ledger}
    kept = [found for name, found in steps if name in taken]
    best = kept[-1] if kept else fit_lexicon(text, (), threads=threads)
    patterns = learn_patterns(text, best, ledger, threads=threads, tell=tell)
    tell("measure", 0, 0)
    measured = partial(tell, "measure")
    book = Codebook(
        word_table(text, best, known, threads=threads, progress=measured),
        dict(zip(text.alphabet.characters, text.counts.tolist(), strict=True)),
        text.sentences,
        patterns.ledger,
        meta={
            "sources": _names(corpus) if source is not None else ["taolu guide"],
            "characters": text.characters,
            "settled": best.settled,
            "options": {
                "margin": margin,
                "min_count": min_count or default_min_count(text.characters),
                "max_length": max_length,
            },
        },
        templates=patterns.templates,
        vectors=patterns.vectors,
        groups=patterns.groups,
    )
    return book.with_passage(_passage(text))


def sample() -> Corpus:
    """Returns the bundled sample: the pages of the guide."""
    folder = files("taolu") / "guide"
    return Corpus(tuple(sorted(str(page) for page in folder.iterdir() if page.name[-3:] == ".md")))


def word_table(
    text: EncodedText,
    lexicon: Lexicon,
    known: Collection[str] = (),
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> Words:
    """Returns the units of a lexicon with their statistics: new words first, then by bits saved.

    Args:
        text: The text it was learned from.
        lexicon: The lexicon.
        known: Words of the user's dictionary.
        threads: Threads that share the text.
        progress: Called as `progress(done, size)`, in passes over the text.
    """
    used = np.flatnonzero(lexicon.character_counts)
    characters = [text.alphabet.characters[i] for i in used]
    names = [*lexicon.words, *characters]
    measures = measure_words(text, names, threads=threads, progress=progress)
    saved = np.append(saved_bits(lexicon, text), np.zeros(len(characters)))
    count = np.append(lexicon.counts, lexicon.character_counts[used])
    marked = frozenset(known)
    flags = np.array([name in marked for name in names], dtype=bool)
    table = Words(
        tuple(names),
        count,
        measures.cohesion,
        measures.left_entropy,
        measures.right_entropy,
        saved,
        flags,
    )
    single = np.array([len(name) == 1 for name in names], dtype=bool)
    # Single characters come last, by use; they save nothing by definition.
    return table.select(np.lexsort((np.array(names, dtype=str), -count, -saved, flags, single)))


def _passes(tell: Report, stage: str, usual: int, done: int = 0) -> Callable[[], None]:
    """Returns a function to call after each pass over the text."""

    def tick() -> None:
        nonlocal done
        done += 1
        tell(stage, done, max(usual, done + 3))

    return tick


def _check(text: EncodedText, corpus: Corpus) -> None:
    name = ", ".join(_names(corpus)[:3])
    if not text.characters:
        raise CorpusError(f"{name}: the text is empty. There is nothing to learn from.")
    if (text.alphabet.classes == OTHER).all():
        raise CorpusError(
            f"{name}: the text holds only punctuation and symbols, and words are made of "
            "characters, letters or digits."
        )


def _names(corpus: Corpus) -> list[str]:
    return [Path(stream_name(path)).name for path in corpus.paths] or ["text in memory"]


def _passage(text: EncodedText) -> list[str]:
    """A few sentences from a third into the text, long enough to see words at work."""
    ids = text.ids[text.ids.size // 3 : text.ids.size // 3 + 8 * PASSAGE_CHARACTERS]
    starts = np.flatnonzero(ids == END)
    if text.ids.size < 8 * PASSAGE_CHARACTERS or starts.size < 2:
        ids = text.ids[: 8 * PASSAGE_CHARACTERS]
        starts = np.append(-1, np.flatnonzero(ids == END))
    sentences: list[str] = []
    words = text.alphabet.classes == WORD
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        inside = ids[start + 1 : stop]
        if words[inside[inside >= 0]].sum() < max(4, 0.7 * inside.size):
            continue
        letters = (" " if i == GAP else text.alphabet.characters[i] for i in inside)
        sentences.append("".join(letters))
        if sum(map(len, sentences)) > PASSAGE_CHARACTERS:
            break
    return sentences
