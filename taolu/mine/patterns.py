"""What the words of a text do together: templates, vectors and groups, each with what it saves."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from taolu.bits.codelength import Ledger, Step
from taolu.mine.class_bigram import GroupBits
from taolu.mine.groups import WordGroups, best_groups
from taolu.mine.lexicon import Lexicon, alphabet_bits, spelling_bits
from taolu.mine.template_bits import GrammarBits
from taolu.mine.template_grammar import best_grammar
from taolu.mine.templates import Templates
from taolu.mine.transitions import transitions_of
from taolu.mine.units import cut_units
from taolu.mine.vectors import context_vectors
from taolu.mine.word_vectors import WordVectors
from taolu.text.encode import EncodedText

# Told what is being done and how far: stage, done, size.
Report = Callable[[str, int, int], None]

TEMPLATE_STEPS = 5
LEAST_SENTENCES = 4
UNITS_A_SENTENCE = 40_000  # a template must be in one sentence more for so many words of the text


@dataclass(frozen=True)
class Patterns:
    """What words do together.

    Attributes:
        ledger: The ledger with these steps.
        templates: Templates with their uses on the cheapest parses, or None where they do not pay.
        groups: Words in groups, or None where they do not pay.
        vectors: A vector for each word, of the company it keeps.
    """

    ledger: Ledger
    templates: Templates | None
    groups: WordGroups | None
    vectors: WordVectors


def learn_patterns(
    text: EncodedText, lexicon: Lexicon, ledger: Ledger, *, threads: int, tell: Report
) -> Patterns:
    """Returns what the words of a text do together.

    Args:
        text: The text.
        lexicon: Its words, with the counts on which cutting rests.
        ledger: The ledger so far.
        threads: Threads that share the text.
        tell: Called as `tell(stage, done, size)`.
    """
    tell("templates", 0, TEMPLATE_STEPS)
    units = cut_units(text, lexicon, threads=threads)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        tell("templates", min(done, TEMPLATE_STEPS), TEMPLATE_STEPS)

    spelled = [alphabet_bits(text), *spelling_bits(lexicon.words, text).tolist()]
    least = max(LEAST_SENTENCES, units.ids.size // UNITS_A_SENTENCE)
    tried = best_grammar(
        units.ids,
        units.words,
        min_count=least,
        splits=units.splits,
        threads=threads,
        tick=tick,
    )
    ledger = ledger.add_best(_template_step(text, spelled, one) for one in tried)
    templates = tried[0].templates if ledger.steps[-1].step == "templates" else None
    tell("groups", 0, 3)
    transitions = transitions_of(units)
    tell("groups", 1, 3)
    vectors = context_vectors(transitions.counts, len(transitions.words))
    tell("groups", 2, 3)
    groups, cost, worse = best_groups(transitions, vectors)
    ledger = ledger.add_best(_group_step(text, spelled, one) for one in (cost, *worse))
    tell("groups", 3, 3)
    return Patterns(
        ledger,
        templates,
        groups if ledger.steps[-1].step == "groups" else None,
        WordVectors(transitions.words, vectors, transitions.uses),
    )


def _template_step(text: EncodedText, spelled: list[float], cost: GrammarBits) -> Step:
    codebook = math.fsum([*spelled, cost.codebook]) / text.characters
    return Step("templates", len(cost.templates), cost.text / text.characters, codebook)


def _group_step(text: EncodedText, spelled: list[float], cost: GroupBits) -> Step:
    # Groups need the words of the step before, whose spelling stays charged, and no templates.
    codebook = math.fsum([*spelled, cost.codebook]) / text.characters
    return Step("groups", cost.groups, cost.text / text.characters, codebook)
