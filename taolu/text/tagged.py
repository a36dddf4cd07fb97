"""Labelled sentences from files whose layout and tagging scheme are found out, not asked for.

The files are read once to find out and to check, in bounded memory: which layout (columns, words
between spaces, JSON lines), which scheme (the one whose rules are broken least), which labels and
how often. What is wrong is reported with file and line. After that they are read again, sentence
by sentence, as often as needed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, islice, pairwise

from taolu.errors import CorpusError
from taolu.text.corpus import Corpus, Source
from taolu.text.layouts import (
    TAB,
    TREE_COLUMNS,
    Columns,
    Line,
    TaggedSentence,
    Tokens,
    TreeColumns,
    Words,
    ends_sentence,
    fault,
    is_comment,
    numbered_lines,
    split_columns,
)
from taolu.text.normalize import ALNUM, character_class
from taolu.text.records import Records, detect_records
from taolu.text.schemes import BIO, BMES, SCHEMES, Detection, Pair, Scheme, detect_scheme, split_tag
from taolu.text.spans import Span, flat_spans, repaired_spans

LOOKED_AT = 500  # lines that decide the layout
NAMED_LABELS = 12

Layout = Columns | TreeColumns | Words | Records

_LETTERS = frozenset(letter for scheme in SCHEMES.values() for letter in scheme.letters)
_LABELLED_WORD = re.compile(r".+([_/])[A-Za-z]+[0-9]?")


@dataclass(frozen=True)
class TaggedCorpus:
    """Labelled sentences, and what was found out about them; iterating reads the files again.

    Attributes:
        corpus: The files.
        layout: How they are laid out.
        scheme: The scheme of their tags, or that to tag them with: BMES for words, BIO for spans.
        why: Why that scheme; empty if the files hold no tags.
        joiner: What stands between tokens in the text: a space if most are words of letters, as in
            English, else nothing.
        comment: Lines that begin with it are left out.
        sentences: How many there are.
        characters: How many they have.
        labels: Spans of each label, the most frequent first.
        repaired: Steps between tags that break a rule of the scheme.
        first_repaired: Place of the first one, and the rule; empty if there is none.
        overlapping: Spans that give way to a longer one that they overlap, when tagged.
        repeated: Spans that say the same as another one; they are left out.
    """

    corpus: Corpus
    layout: Layout
    scheme: Scheme
    why: str
    joiner: str
    comment: str
    sentences: int
    characters: int
    labels: Mapping[str, int]
    repaired: int
    first_repaired: str
    overlapping: int
    repeated: int

    def __iter__(self) -> Iterator[TaggedSentence]:
        """Yields the sentences, in the order of the files."""
        for raw in self.layout.read(numbered_lines(self.corpus, self.comment)):
            if isinstance(raw, Tokens):
                yield _understood(raw, self.scheme, self.joiner)
            else:
                yield replace(raw, spans=_distinct(raw.spans))

    def __len__(self) -> int:
        return self.sentences

    def __str__(self) -> str:
        """Returns all that was found out, in one line."""
        unit = "words" if isinstance(self.layout, Words | TreeColumns) else "spans"
        named = [f"{label} {count:,}" for label, count in self.labels.items() if label]
        more = [f"{len(named) - NAMED_LABELS} labels more"] if len(named) > NAMED_LABELS else []
        listed = ", ".join(named[:NAMED_LABELS] + more)
        found = [
            f"{self.layout}, {self.scheme.name}" if self.why else str(self.layout),
            f"{self.sentences:,} sentences",
            f"{self.characters:,} characters",
            f"{sum(self.labels.values()):,} {unit}" + (f" ({listed})" if named else ""),
        ]
        if self.repaired:
            found.append(f"{self.repaired:,} broken rules repaired ({self.first_repaired})")
        if self.overlapping:
            found.append(f"{self.overlapping:,} give way to longer spans that they overlap")
        if self.repeated:
            found.append(f"{self.repeated:,} said twice")
        return "; ".join(found)


def read_tagged(
    source: Corpus | Source | Iterable[Source],
    *,
    layout: Layout | None = None,
    scheme: Scheme | None = None,
    repair: bool = False,
    encoding: str = "utf-8",
    comment: str = "",
) -> TaggedCorpus:
    """Returns the labelled sentences of files, checked; cost: one pass, in bounded memory.

    Args:
        source: Files, all in one layout; plain or compressed, see `Corpus`.
        layout: How they are laid out; found out from the first lines by default.
        scheme: The scheme of their tags; by default that whose rules are broken least.
        repair: Read tags that break a rule as conlleval does, and count them, instead of stopping
            at the first one.
        encoding: Name of the encoding; a `Corpus` knows its own.
        comment: Leave out lines that begin with this.

    Raises:
        CorpusError: The files cannot be read, hold no layout that is known, or something in them is
            wrong; names the line.

    Example:
        >>> lines = ["在 O", "北 B-LOC", "京 I-LOC", "", "好 O"]
        >>> corpus = read_tagged(Corpus.from_lines(lines))
        >>> print(corpus)
        2 columns between spaces, BIO; 2 sentences; 4 characters; 1 spans (LOC 1)
        >>> [(sentence.text, sentence.spans) for sentence in corpus]
        [('在北京', (Span(start=1, stop=3, label='LOC'),)), ('好', ())]
        >>> print(read_tagged(Corpus.from_lines(["我 爱 北京"])))
        words between spaces; 1 sentences; 4 characters; 3 words
    """
    corpus = Corpus.of(source, encoding=encoding)
    layout = layout or detect_layout(corpus, comment)
    survey = _Survey()
    for raw in layout.read(numbered_lines(corpus, comment)):
        survey.add(raw)
    if not survey.sentences:
        raise CorpusError(f"{_name(corpus)}: holds no labelled sentence.")
    words = isinstance(layout, Words | TreeColumns)
    found = survey.detect(scheme, BMES if words else BIO)
    broken = survey.first_broken(found.scheme) if found.broken else ""
    if broken and not repair:
        raise CorpusError(
            f"{broken}. {found.why}. Mend it, or pass repair=True (--repair) to read such tags as "
            "conlleval does."
        )
    joiner = " " if 2 * survey.alphabetic > survey.tokens else ""
    return TaggedCorpus(
        corpus,
        layout,
        found.scheme,
        found.why,
        joiner,
        comment,
        survey.sentences,
        survey.characters + len(joiner) * (survey.tokens - survey.sentences),
        dict(survey.count_labels(found.scheme).most_common()),
        found.broken,
        broken,
        survey.overlapping,
        survey.repeated,
    )


def detect_layout(corpus: Corpus, comment: str = "") -> Layout:
    """Returns how labelled sentences are laid out, judged by the first 500 lines that say anything.

    JSON lines begin with a brace. Columns are there if most lines end in a tag, separated by tabs
    if most lines have one; most in a treebank have eight or more, the first a number. What is left
    and has spaces is words; if nine in ten end in `_` or `/` and letters, those are labels.

    Raises:
        CorpusError: It is none of these.

    Example:
        >>> str(detect_layout(Corpus.from_lines(["第一_OD 章_M"])))
        'words between spaces, each with _ and a label'
    """
    lines = (
        line
        for line in numbered_lines(corpus, comment)
        if not ends_sentence(line.text) and not is_comment(line.text, TAB)
    )
    looked = list(islice(lines, LOOKED_AT))
    if not looked:
        raise CorpusError(f"{_name(corpus)}: holds no labelled sentence.")
    if _is_json(looked[0]):
        records = detect_records(numbered_lines(corpus, comment))
        if records is None:
            raise fault(looked[0], "no record holds spans in a form that taolu.text.records knows.")
        return records
    separator = TAB if 2 * sum(TAB in line.text for line in looked) >= len(looked) else " "
    rows = [split_columns(line.text, separator) for line in looked]
    trees = sum(len(row) >= TREE_COLUMNS and row[0][:1].isdigit() for row in rows)
    if separator == TAB and 2 * trees > len(rows):
        return TreeColumns()
    widths = Counter(len(row) for row in rows if len(row) > 1 and _is_tag(row[-1]))
    if 2 * sum(widths.values()) > len(rows):
        return Columns(separator, widths.most_common(1)[0][0])
    if separator == TAB:
        raise fault(looked[0], f"the last column is no tag of {', '.join(SCHEMES)}.")
    if not any(len(line.text.split()) > 1 for line in looked):
        raise fault(looked[0], "neither columns with tags, nor words between spaces, nor JSON.")
    words = [_LABELLED_WORD.fullmatch(word) for line in looked for word in line.text.split()]
    separators = Counter(match[1] if match else "" for match in words)
    ((likely, count),) = separators.most_common(1)
    return Words(likely if 10 * count > 9 * len(words) else "")


@dataclass
class _Survey:
    """What one pass over the sentences counts."""

    sentences: int = 0
    tokens: int = 0
    characters: int = 0
    alphabetic: int = 0
    overlapping: int = 0
    repeated: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    pairs: Counter[Pair] = field(default_factory=Counter)
    first: dict[Pair, tuple[str, int, int]] = field(default_factory=dict)

    def add(self, raw: TaggedSentence | Tokens) -> None:
        self.sentences += 1
        if isinstance(raw, Tokens):
            self._add_tokens(raw)
            return
        self.tokens += 1
        self.characters += len(raw.text)
        spans = _distinct(raw.spans)
        self.repeated += len(raw.spans) - len(spans)
        if not _are_flat(spans):
            self.overlapping += len(spans) - len(flat_spans(spans))
        self.labels.update(span.label for span in spans)

    def _add_tokens(self, raw: Tokens) -> None:
        self.tokens += len(raw.tokens)
        self.characters += sum(map(len, raw.tokens))
        long = [token[0] for token in raw.tokens if len(token) > 1]
        self.alphabetic += sum(character_class(letter) == ALNUM for letter in long)
        pairs = list(pairwise(chain([None], raw.tags, [None])))
        self.pairs.update(pairs)
        if not self.first.keys() >= set(pairs):
            last = len(raw.lines) - 1
            for step, pair in enumerate(pairs):
                place = raw.path, raw.lines[max(step - 1, 0)], raw.lines[min(step, last)]
                self.first.setdefault(pair, place)

    def detect(self, given: Scheme | None, without_tags: Scheme) -> Detection:
        """The scheme of the tags, or the one that was given."""
        if not self.pairs:
            return Detection(given or without_tags, 0, "")
        if given is None:
            try:
                return detect_scheme({tag for _, tag in self.pairs if tag is not None}, self.pairs)
            except ValueError:
                raise self._stranger(max(SCHEMES.values(), key=self._readable)) from None
        if self._readable(given) < self.pairs.total():
            raise self._stranger(given)
        broken = sum(count for pair, count in self.pairs.items() if given.broken_rule(*pair))
        return Detection(given, broken, f"{given.name} was given")

    def first_broken(self, scheme: Scheme) -> str:
        """Place of the first broken rule, and the rule."""
        pair = next(pair for pair in self.first if scheme.broken_rule(*pair))
        path, before, at = self.first[pair]
        line = before if scheme.blames_before(pair[1]) else at
        return f"{path}, line {line}: {scheme.broken_rule(*pair)}"

    def count_labels(self, scheme: Scheme) -> Counter[str]:
        """Spans of each label; a span begins where `scheme.opens` says so."""
        labels = Counter(self.labels)
        for (before, tag), count in self.pairs.items():
            if tag is not None and scheme.opens(before, tag):
                labels[scheme.parse(tag)[1]] += count
        return labels

    def _readable(self, scheme: Scheme) -> int:
        return sum(n for (_, tag), n in self.pairs.items() if tag is None or _reads(scheme, tag))

    def _stranger(self, scheme: Scheme) -> CorpusError:
        pair = next(p for p in self.first if p[1] is not None and not _reads(scheme, p[1]))
        path, _, line = self.first[pair]
        return CorpusError(
            f"{path}, line {line}: the tag is none of {scheme.name}, which most others follow. "
            f"Received: {pair[1]!r}."
        )


def _understood(raw: Tokens, scheme: Scheme, joiner: str) -> TaggedSentence:
    starts = [0]
    for token in raw.tokens:
        starts.append(starts[-1] + len(token) + len(joiner))
    spans = [
        Span(starts[span.start], starts[span.stop] - len(joiner), span.label)
        for span in repaired_spans(raw.tags, scheme)
    ]
    text = joiner.join(raw.tokens)
    return TaggedSentence(text, tuple(spans), tuple(raw.tokens), raw.path, raw.lines[0])


def _distinct(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    return spans if _are_flat(spans) else tuple(sorted(set(spans)))


def _are_flat(spans: tuple[Span, ...]) -> bool:
    return all(a.stop <= b.start for a, b in pairwise(spans))


def _reads(scheme: Scheme, tag: str) -> bool:
    letter, label = split_tag(tag)
    return letter in scheme.letters and not (label and scheme.letters[letter] == "O")


def _is_tag(text: str) -> bool:
    letter, label = split_tag(text)
    return letter in _LETTERS and not (letter == "O" and label)


def _is_json(line: Line) -> bool:
    begin = line.text.lstrip()
    return begin.startswith('{"') or (begin[:1] in ("{", "[") and ".json" in line.path)


def _name(corpus: Corpus) -> str:
    return ", ".join(map(str, corpus.paths)) or "<memory>"
