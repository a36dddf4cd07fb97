"""Sums over all paths by runs of steps: the loop over steps is the truth, which others test."""

import numpy as np
import pytest
from keras import ops

from taolu.nn.differentiate import runs_eagerly, value_and_grad
from taolu.nn.layers.chain_runs import log_z_by_runs
from taolu.nn.layers.chain_sums import log_z
from taolu.nn.layers.linear_chain import _steps

pytestmark = pytest.mark.skipif(not runs_eagerly(), reason="other backends compile the loop")


def chain(time, states, spread, seed):
    """A batch of five: all real, padding behind, before, in the middle, and nothing real."""
    rng = np.random.default_rng(seed)
    mask = np.ones((5, time), dtype=bool)
    mask[1, time // 2 :] = False
    mask[2, : time // 3] = False
    mask[3, 1 : time - 1 : 2] = False
    mask[4] = False
    shapes = (5, time, states), (states, states), (states,), (states,)
    numbers = (spread * rng.normal(size=shape).astype("float32") for shape in shapes)
    scores, transitions, start, end = map(ops.convert_to_tensor, numbers)
    h, real, first = _steps(scores, start, end, ops.convert_to_tensor(mask))
    return h, transitions, real, first


def values_and_gradients(function, given):
    h, transitions, real, first = given

    def total(parts):
        found = function(*parts, real, first)
        return ops.sum(found * ops.arange(1.0, 6.0)), found

    (_, found), gradients = value_and_grad(total, (h, transitions), has_aux=True)
    return [ops.convert_to_numpy(x) for x in (found, *gradients)]


@pytest.mark.parametrize(("time", "states"), [(1, 3), (2, 1), (7, 2), (16, 5), (33, 7)])
@pytest.mark.parametrize("spread", [1.0, 6.0])
def test_equals_the_loop_over_steps_with_its_gradients(time, states, spread):
    given = chain(time, states, spread, seed=time)
    runs, loop = (values_and_gradients(f, given) for f in (log_z_by_runs, log_z))
    np.testing.assert_allclose(runs[0][:4], loop[0][:4], rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(runs[1:], loop[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)


def test_keeps_what_only_logarithms_can_hold():
    h, transitions, real, first = chain(20, 4, 1.0, seed=0)
    # States 0 and 1 are never left for others, and state 3 follows state 2 at a price only.
    rules = np.zeros((4, 4), dtype="float32")
    rules[:2, 2:] = rules[2:, :2] = -1e4
    rules[2, 3] = -90.0
    given = h, transitions + ops.convert_to_tensor(rules), real, first
    runs, loop = (values_and_gradients(f, given) for f in (log_z_by_runs, log_z))
    np.testing.assert_allclose(runs[0][:4], loop[0][:4], rtol=1e-6)
    for ours, theirs in zip(runs[1:], loop[1:], strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
