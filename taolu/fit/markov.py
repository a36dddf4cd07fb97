"""What hidden Markov models share: EM over sequences, known states, and scikit-learn's manners.

    p(x, y) = start(y_1) p(x_1 | y_1)  prod_t transition(y_t-1, y_t) p(x_t | y_t)

The E-step asks `chain.forward` how often each transition and each state is expected to be used;
the M-step divides what was counted by its sum. A state that is known counts as it is: with all
states known this is counting, with some it is semi-supervised learning, with none Baum-Welch.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from taolu.chain.linear import LinearChain, hmm_chain
from taolu.chain.ragged import Chains, bounds_of
from taolu.count.parallel import available_cores
from taolu.fit.em import EMResult, best_of, em
from taolu.fit.estimator import Estimator, check_fitted, check_whole
from taolu.fit.markov_counts import (
    UNKNOWN,
    Counts,
    Parameters,
    agrees,
    blocks,
    impossible,
    maximised,
    probabilities,
)


class MarkovModel(Estimator):
    """A hidden Markov model whose subclass says what a state emits.

    `_observations(x, fitting)` checks a flat array of observations; `_log_densities(x, emission)`
    is log p(observation | state), (time, states); `_guess(x, rng)` gives first shares of the
    states, (time, states); `_nothing()` empty statistics, `_collect(x, shares, statistics)` adds
    to them, `_join(one, other)` adds two; `_emission(statistics, old)` is the M-step;
    `_emission_prior(emission)` what pseudocounts add to the log-likelihood; `_given()` the emission
    that the user starts from, or None; `_publish(emission)` sets the public names;
    `_emission_size()` counts free parameters.
    """

    _rank = 0  # axes of one observation
    n_components: int
    startprob_init: Any
    transmat_init: Any
    ends: bool
    pseudocount: float
    tol: float
    max_iter: int
    n_init: int
    random_state: Any
    threads: int | None
    _observations: Callable
    _log_densities: Callable
    _guess: Callable
    _nothing: Callable
    _collect: Callable
    _join: Callable
    _emission: Callable
    _emission_prior: Callable
    _given: Callable
    _publish: Callable
    _emission_size: Callable

    def fit(self, X, y=None, lengths=None):
        """Learns the model by EM from `n_init` starts, keeps the best, returns the object itself.

        Args:
            X: A list of sequences, or one array of all observations with `lengths`.
            y: Their states, likewise, int; -1 where unknown. Default: all unknown.
            lengths: Observations of each sequence, int (sequences,).

        Raises:
            ValueError: The data or an argument of the constructor is out of range, or some
                sequence is impossible under the start.
        """
        self._check()
        x, bounds, _ = self._sequences(X, lengths, fitting=True)
        known = self._known(y, bounds)
        rng = np.random.default_rng(self.random_state)
        starts = (self._start(x, bounds, known, rng) for _ in range(self.n_init))
        best = best_of(starts, lambda start: self._climb(x, bounds, known, start))
        self._parameters = best.result.parameters
        self.n_features_in_ = 1 if x.ndim == 1 else x.shape[1]
        self.startprob_ = self._parameters.start
        self.transmat_ = self._parameters.transition
        self.endprob_ = self._parameters.end
        self.log_likelihoods_ = best.result.log_likelihoods
        self.start_log_likelihoods_ = best.log_likelihoods
        self.n_iter_ = best.result.iterations
        self.converged_ = best.result.converged
        self._publish(self._parameters.emission)
        return self

    def predict(self, X, lengths=None):
        """Returns the states of the most probable path (Viterbi), shaped as the observations are.

        A list of sequences gives a list of int32 arrays, one array gives one of int32 (time,).
        """
        chain, listed = self._chain(X, lengths)
        return self._shaped(chain.viterbi(threads=self._threads()).path, chain, listed)

    def predict_proba(self, X, lengths=None):
        """Returns the probability of each state at each step, float64 (time, states).

        `taolu.chain.forward.posterior_decode` turns it into the states that are right most often.
        """
        chain, listed = self._chain(X, lengths)
        return self._shaped(chain.forward(threads=self._threads()).marginals, chain, listed)

    def score_samples(self, X, lengths=None) -> np.ndarray:
        """Returns log p(x) of each sequence in nats, float64 (sequences,)."""
        return self._chain(X, lengths)[0].log_partition(threads=self._threads())

    def score(self, X, y=None, lengths=None) -> float:
        """Returns the mean of log p(x) over observations, in nats: higher is better."""
        chain, _ = self._chain(X, lengths)
        return float(chain.log_partition(threads=self._threads()).sum() / len(chain.scores))

    def bits(self, X, lengths=None) -> float:
        """Returns the length of the code of all sequences in bits: lower is better."""
        return float(-self.score_samples(X, lengths).sum() / math.log(2))

    def bic(self, X, lengths=None) -> float:
        """Returns the Bayesian criterion on these sequences, in nats: lower is better."""
        chain, _ = self._chain(X, lengths)
        fit = chain.log_partition(threads=self._threads()).sum()
        return float(self._free_parameters() * math.log(len(chain.scores)) - 2 * fit)

    def aic(self, X, lengths=None) -> float:
        """Returns Akaike's criterion on these sequences, in nats: lower is better."""
        return float(2 * self._free_parameters() - 2 * self.score_samples(X, lengths).sum())

    def _states(self, n_samples, rng) -> np.ndarray:
        """States of one sequence; with `ends` it may be shorter than asked for."""
        check_fitted(self)
        check_whole("n_samples", n_samples, 1)
        found = self._parameters
        states: list[int] = []
        row = found.start
        for u in rng.random(n_samples):
            ends = np.cumsum(row)
            if found.end is None or not states:
                u *= ends[-1]
            elif u >= ends[-1]:
                break
            states.append(min(int(np.searchsorted(ends, u, side="right")), len(row) - 1))
            row = found.transition[states[-1]]
        return np.array(states)

    def _check(self) -> None:
        check_whole("n_components", self.n_components, 1)
        check_whole("n_init", self.n_init, 1)
        check_whole("max_iter", self.max_iter, 1)
        if self.threads is not None:
            check_whole("threads", self.threads, 1)
        for name in ("tol", "pseudocount"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"`{name}` must be at least 0. Received: {getattr(self, name)!r}.")

    def _threads(self) -> int:
        return self.threads or available_cores()

    def _sequences(self, X, lengths, fitting=False):
        """Flat observations, bounds of the sequences, and whether a list was given."""
        listed = isinstance(X, list | tuple) and len(X) > 0 and np.ndim(X[0]) > self._rank
        if listed:
            if lengths is not None:
                raise ValueError(
                    "`lengths` must be left out where `X` is a list of sequences. "
                    f"Received: {len(X)} sequences and {len(lengths)} lengths."
                )
            lengths = [len(sequence) for sequence in X]
            X = np.concatenate(
                [np.asarray(sequence) for sequence in X if len(sequence)] or [np.empty(0)]
            )
        x = self._observations(np.asarray(X), fitting)
        bounds = bounds_of(None if lengths is None else np.asarray(lengths, dtype=np.int64), len(x))
        if not len(x) or (np.diff(bounds) == 0).any():
            empty = int(np.argmin(np.diff(bounds)))
            raise ValueError(f"`X` must not hold empty sequences. Received: sequence {empty}.")
        return x, bounds, listed

    def _known(self, y, bounds) -> np.ndarray | None:
        if y is None:
            return None
        listed = isinstance(y, list | tuple) and len(y) > 0 and np.ndim(y[0]) > 0
        states = np.concatenate([np.asarray(s) for s in y]) if listed else np.asarray(y)
        if states.shape != (bounds[-1],) or states.dtype.kind not in "iu":
            raise ValueError(
                f"`y` must have one whole number for each of the {bounds[-1]} observations. "
                f"Received: {states.dtype}, shape {states.shape}."
            )
        if states.size and not UNKNOWN <= states.min() <= states.max() < self.n_components:
            raise ValueError(
                f"`y` must lie in [0, {self.n_components}), or be -1 where unknown. "
                f"Received: from {states.min()} to {states.max()}."
            )
        return None if (states == UNKNOWN).all() else states

    def _start(self, x, bounds, known, rng) -> Parameters:
        """What the user gave; for the rest, one M-step from guessed shares."""
        k = self.n_components
        shares = np.asarray(self._guess(x, rng), dtype=np.float64)
        if known is not None:
            seen = known != UNKNOWN
            # States in the order of the labels; what is unknown stays open, or labels would mean
            # one thing where they are known and another where they are guessed.
            shares = np.where(seen[:, None], known[:, None] == np.arange(k), 1.0 / k)
        inner = np.ones(len(x), dtype=bool)
        inner[bounds[:-1]] = False
        pairs = shares[:-1][inner[1:]].T @ shares[inner] + 1.0
        last = np.full(k, float(bounds.size))
        emission = self._given()
        if emission is None:
            emission = self._emission(self._collect(x, shares, self._nothing()), None)
        start = shares[bounds[:-1]].sum(axis=0) + 1.0
        guess = maximised(Counts(start, pairs, last, None), None, self.ends)
        start = probabilities("startprob_init", self.startprob_init, guess.start)
        if self.transmat_init is None:
            return replace(guess, start=start, emission=emission)
        share = 1.0 if guess.end is None else (1 - guess.end)[:, None]
        transition = probabilities("transmat_init", self.transmat_init, guess.transition) * share
        return Parameters(start, transition, guess.end, emission)

    def _climb(self, x, bounds, known, start: Parameters) -> EMResult:
        # What is impossible at the start stays so, and gets no pseudocount either.
        prior = {
            "start": self.pseudocount * (start.start > 0),
            "transition": self.pseudocount * (start.transition > 0),
        }

        def e_step(parameters):
            total, counts = self._e_step(x, bounds, known, parameters)
            return total + self._log_prior(parameters, prior), counts

        def m_step(counts, old):
            smoothed = replace(counts, **{n: getattr(counts, n) + p for n, p in prior.items()})
            found = maximised(smoothed, old, self.ends)
            return replace(found, emission=self._emission(counts.emission, old.emission))

        return em(
            start,
            e_step,
            m_step,
            tolerance=self.tol,
            iterations=self.max_iter,
            observations=len(x),
            slack=self._slack(),
        )

    def _slack(self) -> float:
        return 1e-10

    def _log_prior(self, parameters, prior) -> float:
        tables = ((prior[name], getattr(parameters, name)) for name in prior)
        total = sum(float((p[p > 0] * np.log(table[p > 0])).sum()) for p, table in tables)
        return total + self._emission_prior(parameters.emission)

    def _e_step(self, x, bounds, known, parameters: Parameters) -> tuple[float, Counts]:
        k = self.n_components
        end = np.ones(k) if parameters.end is None else parameters.end
        batch = Chains(np.empty((0, k)), parameters.transition, parameters.start, end, bounds)

        def work(first: int, last: int) -> tuple[float, Counts]:
            total, pairs, ends = 0.0, np.zeros((k, k)), np.zeros((2, k))
            statistics = self._nothing()
            for low, high in blocks(bounds, first, last):
                rows = slice(bounds[low], bounds[high])
                own = bounds[low : high + 1] - bounds[low]
                seen = None if known is None else known[rows]
                log_sums, shares, more = self._sums(x[rows], seen, parameters, own)
                if np.isneginf(log_sums).any():
                    raise ValueError(impossible(low + int(np.argmin(log_sums))))
                total += log_sums.sum()
                pairs += more
                ends += shares[own[:-1]].sum(axis=0), shares[own[1:] - 1].sum(axis=0)
                statistics = self._collect(x[rows], shares, statistics)
            return total, Counts(ends[0], pairs, ends[1], statistics)

        parts = batch.share(work, self._threads())
        emission = parts[0][1].emission
        for _, counts in parts[1:]:
            emission = self._join(emission, counts.emission)
        names = ("start", "transition", "end")
        sums = {name: sum(getattr(counts, name) for _, counts in parts) for name in names}
        return sum(total for total, _ in parts), Counts(**sums, emission=emission)

    def _sums(self, x, known, parameters: Parameters, bounds):
        """Log-likelihood of each sequence, shares of the states, expected transitions."""
        scores = self._log_densities(x, parameters.emission)
        if known is not None:
            scores = np.where(agrees(known, self.n_components), scores, -np.inf)
        options = {"end": parameters.end, "lengths": np.diff(bounds)}
        found = hmm_chain(parameters.start, parameters.transition, scores, **options).forward()
        return found.log_partition, found.marginals, found.transitions

    def _chain(self, X, lengths) -> tuple[LinearChain, bool]:
        check_fitted(self)
        x, bounds, listed = self._sequences(X, lengths)
        found = self._parameters
        scores = self._log_densities(x, found.emission)
        options = {"end": found.end, "lengths": np.diff(bounds)}
        return hmm_chain(found.start, found.transition, scores, **options), listed

    def _shaped(self, values, chain, listed):
        return np.split(values, np.cumsum(chain.lengths)[:-1]) if listed else values

    def _free_parameters(self) -> int:
        k = self.n_components
        return (k - 1) + k * (k - 1) + (k if self.ends else 0) + self._emission_size()
