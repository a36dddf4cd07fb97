"""How a tag on every character says where spans begin and end, and which tags may follow which.

A tag is a letter and a label, `B-PER`; untyped tags are the letter alone. The letters play five
parts: begin, inside, end, single, outside.

| scheme | begin | inside | end | single | outside |
| --- | --- | --- | --- | --- | --- |
| BIO (IOB2) | B | I | | | O |
| IOB1 | B only behind a span of the same label, else I | I | | | O |
| BMES: words, nothing outside | B | M | E | S | |
| BMESO | B | M | E | S | O |
| BIOES | B | I | E | S | O |
| BILOU | B | I | L | U | O |

Every rule looks at two neighbours only, so a chain model can keep all of them: `legality` gives
the pairs, and `taolu.chain.penalties` makes scores of them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, pairwise

import numpy as np

SEPARATORS = "-_"

Pair = tuple[str | None, str | None]


@dataclass(frozen=True)
class Scheme:
    """The letters of a tagging scheme; see the table above.

    Args:
        name: Its name.
        begin: Letter of the first character of a span.
        inside: Letter of a character inside.
        end: Letter of the last character; empty if ends are not marked.
        single: Letter of a span of one character; empty if it is `begin`.
        outside: Tag of a character in no span; empty if there is none.
        begin_is_rare: A span begins with `inside`, unless one of the same label ends right before.

    Example:
        >>> BILOU.parse("U-PER"), BIO.parse("O"), BMES.parse("M")
        (('S', 'PER'), ('O', ''), ('I', ''))
        >>> BILOU.tag("S", "PER")
        'U-PER'
    """

    name: str
    begin: str
    inside: str
    end: str = ""
    single: str = ""
    outside: str = "O"
    begin_is_rare: bool = False
    _parsed: dict[str, tuple[str, str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def letters(self) -> dict[str, str]:
        """The part of each letter: B, I, E, S or O."""
        written = (self.begin, self.inside, self.end, self.single, self.outside)
        return {letter: part for letter, part in zip(written, "BIESO", strict=True) if letter}

    def parse(self, tag: str) -> tuple[str, str]:
        """Returns the part of a tag (B, I, E, S or O) and its label, empty if it has none.

        Raises:
            ValueError: The scheme has no such tag.
        """
        try:
            return self._parsed[tag]
        except KeyError:
            letter, label = split_tag(tag)
            part = self.letters.get(letter, "")
            if not part or (part == "O" and label):
                raise ValueError(
                    f"a tag of {self.name} must begin with one of {', '.join(self.letters)}. "
                    f"Received: {tag!r}."
                ) from None
            return self._parsed.setdefault(tag, (part, label))

    def tag(self, part: str, label: str) -> str:
        """Returns the tag of a part (B, I, E, S or O) of a span with this label."""
        letter = next(letter for letter, name in self.letters.items() if name == part)
        return f"{letter}-{label}" if label and part != "O" else letter

    def opens(self, before: str | None, tag: str) -> bool:
        """Tells if a span begins at `tag`, whatever the rules: conlleval's reading.

        It does at a begin or single tag, and at an inside or end tag if no span of that label is
        open.
        """
        part, label = self.parse(tag)
        if part in "IE" and before is not None:
            last, label_before = self.parse(before)
            return last not in "BI" or label_before != label
        return part != "O"

    def broken_rule(self, before: str | None, tag: str | None) -> str:
        """Returns which rule is broken where `tag` follows `before`; empty if none is.

        Args:
            before: None at the start of a sentence.
            tag: None at its end.

        Example:
            >>> BIO.broken_rule("O", "I-PER"), BIO.broken_rule("B-PER", "I-PER")
            ('I-PER without its B-PER', '')
        """
        last, label_before = ("O", "") if before is None else self.parse(before)
        part, label = ("O", "") if tag is None else self.parse(tag)
        goes_on = last in "BI" and label == label_before
        if self.begin_is_rare:
            if part == "B" and not goes_on:
                return f"{tag} with no {label or 'span'} right before it"
            return ""
        if part in "IE" and not goes_on:
            return f"{tag} without its {self.tag('B', label)}"
        if self.end and last in "BI" and part not in "IE":
            return f"{before} without its {self.tag('E', label_before)}"
        return ""

    def blames_before(self, tag: str | None) -> bool:
        """Tells if a rule broken where `tag` follows is the fault of the tag before it."""
        return bool(self.end) and (tag is None or self.parse(tag)[0] not in "IE")


BIO = Scheme("BIO", "B", "I")
IOB1 = Scheme("IOB1", "B", "I", begin_is_rare=True)
BMES = Scheme("BMES", "B", "M", "E", "S", outside="")
BMESO = Scheme("BMESO", "B", "M", "E", "S")
BIOES = Scheme("BIOES", "B", "I", "E", "S")
BILOU = Scheme("BILOU", "B", "I", "L", "U")

# In the order in which `detect_scheme` takes them when several fit equally well.
SCHEMES = {scheme.name: scheme for scheme in (BMES, BIO, IOB1, BMESO, BIOES, BILOU)}


@dataclass(frozen=True)
class Legality:
    """Which tags may stand where; each array goes through `taolu.chain.penalties`.

    Attributes:
        transitions: bool (states, states): may the tag of the column follow that of the row?
        start: bool (states,): may it come first?
        end: bool (states,): may it come last?
    """

    transitions: np.ndarray
    start: np.ndarray
    end: np.ndarray


def legality(tags: Sequence[str], scheme: Scheme) -> Legality:
    """Returns which of the tags may follow which, come first and come last.

    Args:
        tags: The states, in order.
        scheme: Their scheme.

    Raises:
        ValueError: A tag is none of the scheme.

    Example:
        >>> legality(["O", "B-PER", "I-PER"], BIO).transitions.astype(int)
        array([[1, 1, 0],
               [1, 1, 1],
               [1, 1, 1]])
    """
    size = len(tags)
    pairs = [not scheme.broken_rule(before, tag) for before in tags for tag in tags]
    return Legality(
        np.array(pairs, dtype=bool).reshape(size, size),
        np.array([not scheme.broken_rule(None, tag) for tag in tags], dtype=bool),
        np.array([not scheme.broken_rule(tag, None) for tag in tags], dtype=bool),
    )


def tag_set(labels: Iterable[str], scheme: Scheme) -> tuple[str, ...]:
    """Returns every tag that spans with these labels can need, outside first.

    Example:
        >>> tag_set(["LOC", "PER"], BIO), tag_set([""], BMES)
        (('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER'), ('B', 'M', 'E', 'S'))
    """
    parts = [part for part in scheme.letters.values() if part != "O"]
    tags = [scheme.tag(part, label) for label in labels for part in parts]
    return (*([scheme.outside] if scheme.outside else []), *tags)


@dataclass(frozen=True)
class Detection:
    """The scheme that tags most likely follow.

    Attributes:
        scheme: The scheme.
        broken: How many steps break one of its rules.
        why: The reason, in one line.
    """

    scheme: Scheme
    broken: int
    why: str


def count_pairs(sequences: Iterable[Sequence[str]]) -> Counter[Pair]:
    """Returns how often each tag follows each; None stands before the first, behind the last.

    Example:
        >>> sorted(count_pairs([["B", "I"], ["B"]]).items(), key=str)
        [(('B', 'I'), 1), (('B', None), 1), (('I', None), 1), ((None, 'B'), 2)]
    """
    pairs: Counter[Pair] = Counter()
    for tags in sequences:
        if tags:
            pairs.update(pairwise(chain([None], tags, [None])))
    return pairs


def detect_scheme(tags: Iterable[str], pairs: Mapping[Pair, int] | None = None) -> Detection:
    """Returns the scheme that has all the letters and whose rules are broken least.

    Where several do equally well the first of BMES, BIO, IOB1, BMESO, BIOES, BILOU is taken, but
    for two cases. Tags with labels, all on spans, are read as a scheme with O, which later text may
    need: BMESO, not BMES. Without pairs, tags without any B are IOB1: in BIO no span could begin.

    Args:
        tags: The distinct tags.
        pairs: How often each follows each, from `count_pairs`; without them only letters decide.

    Raises:
        ValueError: There are no tags, or no scheme has all their letters.

    Example:
        >>> sentences = [["I-PER", "I-PER", "O", "I-LOC"], ["O", "O"]]
        >>> detect_scheme(set(sum(sentences, [])), count_pairs(sentences)).why
        'IOB1 has the letters I, O, and no step breaks its rules (of BIO, 2 do)'
    """
    tags = sorted(set(tags))
    split = [split_tag(tag) for tag in tags]
    letters = {letter for letter, _ in split}
    typed = any(label for _, label in split)
    fitting = [
        scheme
        for scheme in SCHEMES.values()
        if letters <= set(scheme.letters) and (scheme.outside or not typed)
    ]
    if not tags or not fitting:
        raise ValueError(
            "`tags` must follow one of the schemes "
            f"{', '.join(SCHEMES)}. Received: {_listed(tags) or 'no tags'}."
        )
    if pairs is None:
        best = IOB1 if letters <= {"I", "O"} and "I" in letters else fitting[0]
        return Detection(
            best, 0, f"{best.name} is the first scheme with the letters {_listed(letters)}"
        )
    broken = {scheme.name: _broken_steps(scheme, pairs) for scheme in fitting}
    name, *others = sorted(broken, key=lambda name: broken[name])  # stable: the first of the least
    steps = f"{broken[name]:,} steps break" if broken[name] > 1 else "1 step breaks"
    steps = steps if broken[name] else "no step breaks"
    why = f"{name} has the letters {_listed(letters)}, and {steps} its rules"
    if others:
        why += f" (of {others[0]}, {broken[others[0]]:,} do)"
    return Detection(SCHEMES[name], broken[name], why)


def split_tag(tag: str) -> tuple[str, str]:
    """Returns the letter of a tag and its label; what is no tag comes back whole, as the letter.

    Example:
        >>> split_tag("B-PER"), split_tag("B_PER"), split_tag("O"), split_tag("NN")
        (('B', 'PER'), ('B', 'PER'), ('O', ''), ('NN', ''))
    """
    if len(tag) > 2 and tag[1] in SEPARATORS:
        return tag[0], tag[2:]
    return tag, ""


def _broken_steps(scheme: Scheme, pairs: Mapping[Pair, int]) -> int:
    return sum(count for pair, count in pairs.items() if scheme.broken_rule(*pair))


def _listed(tags: Iterable[str], most: int = 12) -> str:
    tags = sorted(tags)
    return ", ".join(tags[:most]) + (f" and {len(tags) - most} more" if len(tags) > most else "")
