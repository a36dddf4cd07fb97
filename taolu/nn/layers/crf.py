"""Conditional random field: tags that fit together, because whole paths compete."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from taolu.nn.layers import linear_chain
from taolu.nn.layers.k_best import k_best
from taolu.nn.layers.tag_head import TagHead, check_multiplier
from taolu.nn.layers.tag_rules import (
    FORBIDDEN,
    as_legality,
    check_rules,
    legal_path,
    penalties,
    rules_config,
)
from taolu.nn.masking import apply_mask
from taolu.text.schemes import Legality


@keras.saving.register_keras_serializable(package="taolu")
class CRF(TagHead):
    """Linear-chain CRF: scores in, and beside them the probability of every path.

        score(y) = start(y_1) + sum_t h_t(y_t) + sum_t g(y_t-1, y_t) + end(y_T)
        p(y) = exp(score(y)) / Z,    -log p(y) = log Z - score(y)

    A softmax picks each tag by itself; here a path wins or loses as a whole, so a tag that does
    not go with its neighbours costs what it is worth. The layer hands its inputs h on as float32
    and keeps g, start and end; give its output to a `TagModel`, which trains by `loss` and
    predicts by `decode`, or call these yourself. All sums run in float32 whatever the policy.

    Rules of a tagging scheme are penalties of -1e4 on what is illegal: finite, so that a gold path
    that breaks one gives a large loss and no NaN. Decoding raises them above the sum of all scores:
    a legal path is taken whenever there is one.

    Masking: the chain runs over the real steps only, wherever padding stands, holes included; the
    mask is passed on. A row without real steps has the loss 0 and no gradient.

    Args:
        legal: Which tags may stand where, from `taolu.text.schemes.legality`, or None.
        use_ends: Whether to learn start and end.
        learning_rate_multiplier: Weights are stored divided by it and multiplied when used, so that
            Adam moves them so much faster: those of order 1 are dwarfed by the scores of a network
            that was trained before, and learn at its small rate.
        parallel: Whether to sum over paths in log(time) rounds of matrix products instead of a loop
            over time. states**3 work: for few states and long texts on an accelerator.
        initializer: Of g, start and end, before they are divided; zeros say nothing at first.

    Call arguments:
        inputs: h, float (batch, time, states).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        h, float32 (batch, time, states).

    Raises:
        ValueError: The multiplier is not positive, the inputs have another rank, or the rules are
            about another number of states.

    Example:
        >>> crf = CRF(use_ends=False)
        >>> scores = crf(np.log([[[3.0, 1.0], [1.0, 1.0]]]))
        >>> ops.convert_to_numpy(ops.exp(crf.log_partition(scores))).round(4).tolist()
        [8.0]
        >>> ops.convert_to_numpy(crf.decode(scores)).tolist()
        [[0, 0]]

    References:
        Lafferty, McCallum, Pereira, Conditional random fields, 2001.
        Su Jianlin, 简明条件随机场CRF介绍, 2018 (archives/5542); 你的CRF层的学习率可能不够大, 2020
        (archives/7196).
    """

    def __init__(
        self,
        legal: Legality | None = None,
        use_ends: bool = True,
        learning_rate_multiplier: float = 1.0,
        parallel: bool = False,
        initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_multiplier(learning_rate_multiplier)
        self.legal = as_legality(legal)
        self.use_ends = use_ends
        self.learning_rate_multiplier = learning_rate_multiplier
        self.parallel = parallel
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        super().build(input_shape)
        check_rules(self.legal, self.states)
        shapes: dict[str, tuple] = {"transitions": (self.states, self.states)}
        if self.use_ends:
            shapes |= {"start": (self.states,), "end": (self.states,)}
        for name, shape in shapes.items():
            rest = self.initializer, self.learning_rate_multiplier
            setattr(self, f"_{name}", self.weight(shape, name, *rest))

    def tables(self, penalty: float = FORBIDDEN) -> tuple[Any, Any, Any]:
        """The scores g (states, states), start and end (states,), as used: float32 tensors.

        Args:
            penalty: What a broken rule costs.
        """
        names = ("transitions", "start", "end")
        tables = [getattr(self, f"_{name}", None) for name in names]
        tables = [0.0 if x is None else x * self.learning_rate_multiplier for x in tables]
        if self.legal is not None:
            rules = penalties(self.legal, penalty)
            tables = [a + b for a, b in zip(tables, rules, strict=True)]
        nothing = ops.zeros(self.states)  # where there is neither a weight nor a rule
        return tables[0], tables[1] + nothing, tables[2] + nothing

    def assign(self, transitions, start=None, end=None):
        """Sets the weights to given scores, as they are used: those of another program, say.

        Args:
            transitions: Float (states, states), from row to column.
            start: Float (states,), or None to leave it.
            end: Float (states,), or None to leave it.

        Raises:
            ValueError: The layer is not built, or learns no start and end.
        """
        if not self.built:
            raise ValueError("`CRF` must be built before `assign`. Received: no states yet.")
        if not self.use_ends and (start is not None or end is not None):
            raise ValueError("`start` and `end` need use_ends=True. Received: use_ends=False.")
        for name, value in (("transitions", transitions), ("start", start), ("end", end)):
            if value is not None:
                value = np.asarray(value, "float32") / self.learning_rate_multiplier
                getattr(self, f"_{name}").assign(value)

    def score(self, labels, scores, mask=None):
        """The score of one path through each row, float32 (batch,).

        Args:
            labels: Int (batch, time), in [0, states) at real steps.
            scores: h, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, mask = self.read(scores, mask)
        labels = self.read_labels(labels, scores)
        return linear_chain.path_score(labels, scores, *self.tables(), mask=mask)

    def log_partition(self, scores, mask=None):
        """log Z of each row, float32 (batch,), in nats.

        Args:
            scores: h, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, mask = self.read(scores, mask)
        return linear_chain.log_partition(scores, *self.tables(), mask=mask, parallel=self.parallel)

    def loss(self, labels, scores, mask=None):
        """Minus the log of the probability of the labels, float32 (batch,), in nats per sequence.

        A sum over the steps of a row, not a mean. Where a label is -1 any state may be, and the
        probability is that of all paths that agree with the other labels. Its gradient by h is
        `marginals` less the observed states; by g, expected less observed counts.

        Args:
            labels: Int (batch, time), in [0, states) at real steps, or -1 where not known.
            scores: h, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).

        Raises:
            ValueError: The labels are not whole numbers of the shape of the steps.
        """
        scores, mask = self.read(scores, mask)
        labels = self.read_labels(labels, scores)
        chain = scores, *self.tables(), mask, self.parallel
        known = linear_chain.known_score(labels, *chain)
        return linear_chain.log_partition(*chain) - known

    def marginals(self, scores, mask=None):
        """The probability of each state at each step, float32 (batch, time, states); 0 at padding.

        Args:
            scores: h, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, mask = self.read(scores, mask)
        found = linear_chain.log_marginals(
            scores, *self.tables(), mask=mask, parallel=self.parallel
        )
        return apply_mask(ops.exp(found), mask)

    def entropy(self, scores, mask=None):
        """How much is open about the path of each row, float32 (batch,), in nats.

        Args:
            scores: h, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, mask = self.read(scores, mask)
        return linear_chain.entropy(scores, *self.tables(), mask=mask)

    def decode(self, scores, mask=None):
        """The most probable path, int32 (batch, time), -1 at padding; of equals the first.

        It is legal if any path is, and breaks the fewest rules if none is.

        Args:
            scores: h, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, mask = self.read(scores, mask)
        return legal_path(scores, self.tables(0.0), self.legal, mask)

    def k_best(self, scores, k, mask=None):
        """The k paths with the highest scores, best first.

        Takes about k log k times what `decode` does. With rules only legal paths are listed, so
        the first is that of `decode` wherever a legal path exists. Equals are ordered by their last
        states, then by those before. Less `log_partition` the scores are log-probabilities.

        Args:
            scores: h, float (batch, time, states).
            k: How many, at least 1.
            mask: Bool (batch, time) or (batch, time, 1).

        Returns:
            Paths, int32 (batch, k, time), -1 at padding, and their scores as in `score`, float32
            (batch, k), without a gradient. Where there are fewer paths the rest is -1, with scores
            of minus infinity.

        Raises:
            ValueError: `k` is below 1.
        """
        scores, mask = self.read(scores, mask)
        return k_best(scores, *self.tables(-math.inf), mask, k)

    def decode_posterior(self, scores, mask=None):
        """The states expected to be right at most steps, int32 (batch, time), -1 at padding.

        Each step takes its likeliest state; with rules, the legal path with the largest sum of
        marginals.

        Args:
            scores: h, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, mask = self.read(scores, mask)
        ruled, free = self.tables(FORBIDDEN), self.tables(0.0)
        links, start, end = (x - y for x, y in zip(ruled, free, strict=True))
        return linear_chain.viterbi(self.marginals(scores, mask), links, start, end, mask)

    def get_config(self):
        config = {
            "legal": rules_config(self.legal),
            "use_ends": self.use_ends,
            "learning_rate_multiplier": self.learning_rate_multiplier,
            "parallel": self.parallel,
            "initializer": keras.initializers.serialize(self.initializer),
        }
        return {**super().get_config(), **config}
