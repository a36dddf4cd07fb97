"""The hidden Markov model of symbols: behind each stands a state that nobody sees."""

import numpy as np

from taolu._kernel import kernel
from taolu.chain.forward import scaled_sums
from taolu.fit.estimator import check_whole
from taolu.fit.markov import MarkovModel
from taolu.fit.markov_counts import NEGLIGIBLE, agrees, probabilities


class HMM(MarkovModel):
    """A hidden Markov model with categorical emissions, fitted by counting, by EM, or by both.

    Attributes are named as in hmmlearn. From the same start Baum-Welch takes the same steps as
    `hmmlearn.hmm.CategoricalHMM`, and it stops at the parameters that were judged. Beyond it:
    known states, ends of sequences, threads, code lengths in bits.

    Args:
        n_components: How many states.
        n_features: How many symbols; observations lie in [0, n_features). Default: one more than
            the largest that `fit` sees.
        ends: Also learn where sequences end. Then the probabilities of all sequences of all
            lengths add up to one; without, those of each length do.
        pseudocount: Added to every count of starts, transitions and emissions, but not to what is
            impossible at the start. With it, the climb is that of the posterior of a Dirichlet
            prior.
        emission_pseudocount: The same for emissions alone. Default: `pseudocount`.
        startprob_init: First state to start from, float (states,). Default: guessed.
        transmat_init: Transitions to start from, float (states, states). Zeros stay.
        emissionprob_init: Emissions to start from, float (states, symbols). Zeros stay.
        tol: Smallest change of the mean log-likelihood of an observation worth another iteration,
            in nats.
        max_iter: Most iterations from one start.
        n_init: How many starts.
        random_state: None, a whole number or a NumPy Generator: the source of chance.
        threads: Sequences are shared out over so many threads; None means one for each core.

    Attributes:
        startprob_: Float64 (states,), sum 1.
        transmat_: Float64 (states, states); rows add up to 1, or with `ends` to 1 - endprob_.
        endprob_: Float64 (states,), or None.
        emissionprob_: Float64 (states, symbols); rows add up to 1.
        converged_: True if `tol` was met.
        log_likelihoods_: Mean log-likelihood of an observation, at the start and after each
            iteration of the best run, in nats; with pseudocounts, what they add is in it.
        start_log_likelihoods_: Where each start ended, float64 (n_init,).
        n_iter_: Iterations of the best run.

    Example:
        >>> weather = [[0, 0, 1, 1, 1, 0], [1, 1, 0, 0]]
        >>> umbrella = [[0, 0, 2, 2, 1, 0], [2, 2, 0, 1]]
        >>> model = HMM(2, pseudocount=0.1).fit(umbrella, weather)
        >>> model.predict([0, 1, 2])
        array([0, 0, 1], dtype=int32)

    References:
        Baum, Petrie, Soules, Weiss, A maximization technique occurring in the statistical analysis
        of probabilistic functions of Markov chains, 1970.
        Su Jianlin, 你的CRF层的学习率可能不够大, spaces.ac.cn/archives/7213, 2020.
    """

    def __init__(
        self,
        n_components=2,
        *,
        n_features=None,
        ends=False,
        pseudocount=0.0,
        emission_pseudocount=None,
        startprob_init=None,
        transmat_init=None,
        emissionprob_init=None,
        tol=1e-3,
        max_iter=100,
        n_init=1,
        random_state=None,
        threads=1,
    ):
        self.n_components = n_components
        self.n_features = n_features
        self.ends = ends
        self.pseudocount = pseudocount
        self.emission_pseudocount = emission_pseudocount
        self.startprob_init = startprob_init
        self.transmat_init = transmat_init
        self.emissionprob_init = emissionprob_init
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state
        self.threads = threads

    def sample(self, n_samples=1, rng=None) -> tuple[np.ndarray, np.ndarray]:
        """Returns one sequence drawn from the model, and its states.

        Args:
            n_samples: How many observations; with `ends`, at most so many.
            rng: A NumPy Generator. Default: from `random_state`.

        Returns:
            Symbols and states, int (time,) both.
        """
        rng = np.random.default_rng(self.random_state if rng is None else rng)
        states = self._states(n_samples, rng)
        ends = np.cumsum(self.emissionprob_, axis=1)
        below = rng.random(len(states))[:, None] * ends[states, -1:]
        return (ends[states] <= below).sum(axis=1), states

    def _check(self) -> None:
        super()._check()
        if self.n_features is not None:
            check_whole("n_features", self.n_features, 1)
        if not self._emission_pseudocount() >= 0:
            raise ValueError(
                "`emission_pseudocount` must be at least 0. "
                f"Received: {self.emission_pseudocount!r}."
            )

    def _emission_pseudocount(self) -> float:
        given = self.emission_pseudocount
        return self.pseudocount if given is None else given

    def _observations(self, x, fitting) -> np.ndarray:
        x = x[:, 0] if x.ndim == 2 and x.shape[1] == 1 else x
        if x.ndim != 1 or (x.size and x.dtype.kind not in "iu"):
            raise ValueError(
                "`X` must hold whole numbers, (time,) or (time, 1), or a list of such sequences. "
                f"Received: {x.dtype}, shape {x.shape}."
            )
        if fitting:
            given = np.shape(self.emissionprob_init)[-1:] or (int(x.max(initial=0)) + 1,)
            self._symbols = self.n_features or given[0]
        if x.size and not 0 <= x.min() <= x.max() < self._symbols:
            raise ValueError(
                f"`X` must lie in [0, {self._symbols}). Received: from {x.min()} to {x.max()}."
            )
        return np.ascontiguousarray(x, dtype=np.int32)

    # Emissions are kept as (symbols, states): the row of a symbol is what a step reads.

    def _guess(self, x, rng) -> np.ndarray:
        # Shares for each symbol: guesses for each step would average out to states all alike.
        return rng.dirichlet(np.ones(self.n_components), self._symbols)[x]

    def _given(self) -> np.ndarray | None:
        shape = np.empty((self.n_components, self._symbols))
        found = probabilities("emissionprob_init", self.emissionprob_init, shape)
        return None if self.emissionprob_init is None else np.ascontiguousarray(found.T)

    def _log_densities(self, x, emission) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(emission)[x]

    def _sums(self, x, known, parameters, bounds):
        # The emissions are probabilities already: nothing to take logarithms of.
        weights = parameters.emission[x]
        if known is not None:
            weights *= agrees(known, self.n_components)
        end = np.ones(self.n_components) if parameters.end is None else parameters.end
        tables = parameters.transition, parameters.start, end
        shares, pairs = np.empty_like(weights), np.zeros_like(parameters.transition)
        sums = np.empty(bounds.size - 1)
        if scaled_sums(weights, tables, bounds, shares, pairs, sums):
            return sums, shares, pairs
        return super()._sums(x, known, parameters, bounds)

    def _nothing(self) -> np.ndarray:
        return np.zeros((self._symbols, self.n_components))

    def _collect(self, x, shares, statistics) -> np.ndarray:
        _add_rows(x, shares, statistics)
        return statistics

    def _join(self, one, other) -> np.ndarray:
        return one + other

    def _emission(self, counts, old) -> np.ndarray:
        if self._emission_pseudocount():
            counts = counts + self._emission_pseudocount() * (1.0 if old is None else old > 0)
        totals = counts.sum(axis=0)
        unused = totals <= 0
        emission = counts / np.where(unused, 1.0, totals)
        if unused.any():
            emission[:, unused] = 1.0 / len(emission) if old is None else old[:, unused]
        emission[emission < NEGLIGIBLE] = 0.0
        return emission

    def _emission_prior(self, emission) -> float:
        each = self._emission_pseudocount()
        return float(each * np.log(emission[emission > 0]).sum()) if each else 0.0

    def _publish(self, emission) -> None:
        self.emissionprob_ = np.ascontiguousarray(emission.T)

    def _emission_size(self) -> int:
        return self.n_components * (self.emissionprob_.shape[1] - 1)


@kernel
def _add_rows(rows, values, table):
    for t in range(rows.size):
        for j in range(values.shape[1]):
            table[rows[t], j] += values[t, j]
