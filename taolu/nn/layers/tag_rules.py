"""Rules of a tagging scheme, as scores that a head adds: what is illegal costs a penalty."""

from dataclasses import fields

import numpy as np
from keras import ops

from taolu.nn.layers import linear_chain
from taolu.nn.masking import apply_mask
from taolu.text.schemes import Legality

FORBIDDEN = -1e4  # float32 still tells paths apart that score so little


def as_legality(legal):
    """The rules, out of a configuration too; None stays None.

    Raises:
        TypeError: They are something else.
    """
    if isinstance(legal, dict):
        legal = Legality(**{name: np.array(value, bool) for name, value in legal.items()})
    if legal is not None and not isinstance(legal, Legality):
        raise TypeError(
            "`legal` must be a Legality, as `taolu.text.schemes.legality` makes it. "
            f"Received: {type(legal).__name__}."
        )
    return legal


def rules_config(legal):
    """The rules as a dict of lists, for a configuration; None stays None."""
    if legal is None:
        return None
    return {one.name: getattr(legal, one.name).tolist() for one in fields(legal)}


def check_rules(legal, states):
    """Raises a ValueError unless the rules, if any, are about so many states."""
    found = states if legal is None else len(legal.start)
    if found != states:
        raise ValueError(
            f"`legal` must be about the {states} states of the inputs. "
            f"Received: rules for {found} states."
        )


def penalties(legal, penalty):
    """Transitions (states, states), start and end (states,): a penalty where a rule is broken.

    Args:
        legal: The rules.
        penalty: Number or scalar tensor.
    """
    broken = [ops.convert_to_tensor(~x) for x in (legal.transitions, legal.start, legal.end)]
    return [ops.where(x, ops.cast(penalty, "float32"), 0.0) for x in broken]


def legal_path(scores, tables, legal, mask):
    """The best path that breaks the fewest rules, int32 (batch, time), -1 at padding.

    Args:
        scores: Float32 (batch, time, states).
        tables: Transitions, start and end, without rules.
        legal: The rules, or None.
        mask: Bool (batch, time).
    """
    scores = apply_mask(scores, mask)
    if legal is not None:
        highest = ops.sum(ops.max(ops.abs(scores), axis=-1), axis=-1)
        links = sum(ops.max(ops.abs(x)) for x in tables)
        steps = ops.cast(ops.shape(scores)[1], "float32")
        # More than the best and the worst path can differ by.
        penalty = -(1.0 + 2.0 * (ops.max(highest, initial=0.0) + (steps + 1.0) * links))
        tables = [a + b for a, b in zip(tables, penalties(legal, penalty), strict=True)]
    transitions, start, end = tables
    return linear_chain.viterbi(scores, transitions, start, end, mask)
