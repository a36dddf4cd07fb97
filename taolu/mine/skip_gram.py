"""One pass of word2vec over a piece of text: skip-gram and CBOW, as compiled code.

Around each word stands its company, at most `window` words to either side. The vectors x of the
company (skip-gram: each by itself; CBOW: their mean) shall tell the word from noise: with y the
output vectors of the word and of words drawn at random, and t = 1 for the word, 0 for noise,

    loss = -sum over x, y of log sigma((2 t - 1) x . y),   step: x += rate (t - sigma(x . y)) y

and y likewise. On the tree of hierarchical softmax the y are the nodes on the way to the word, and
t says which way it goes; noise and tree may both be used.

One word draws its noise once, for its whole company, and all steps start from the same vectors: so
a word costs a small product of two matrices, and fetches a few rows from memory where step by step
it would fetch six for each pair. What a step is expected to be does not change.
"""

import math
from typing import NamedTuple

import numpy as np

from taolu._kernel import kernel, sum_kernel
from taolu.mine.token_stream import END

SIGMOID_REACH = 8  # the table of sigma ends here; beyond it is computed
SIGMOID_STEPS = 128  # steps of the table in one
LOSS_EVERY = 64  # of so many words one tells its loss
DRAW = 1 << 32  # a draw is a whole number below this


class Tables(NamedTuple):
    """The vectors: rows as wide as a multiple of 16, zeros behind the width asked for.

    `inputs` are words, then pieces of words; `outputs` words, then nodes of the tree.
    """

    inputs: np.ndarray
    outputs: np.ndarray


class Draws(NamedTuple):
    """How likely a word is kept, and noise, as an alias table: see `sampling`."""

    keep: np.ndarray
    share: np.ndarray
    alias: np.ndarray


class Paths(NamedTuple):
    """For each word, from `starts[word]`, the rows of its nodes in the tree and which way it goes.

    Without a tree all paths are empty.
    """

    starts: np.ndarray
    rows: np.ndarray
    ways: np.ndarray


class Bags(NamedTuple):
    """For each word, from `starts[word]`, the input rows that add up to its vector, times `scale`.

    Without pieces of words that is the row of the word.
    """

    starts: np.ndarray
    rows: np.ndarray
    scale: np.ndarray


class Plan(NamedTuple):
    """What is to be done; the rate goes in a line from the first to the last."""

    window: int
    negative: int
    cbow: bool
    first_rate: float
    last_rate: float


class Room(NamedTuple):
    """Arrays that one thread works in; see `work_room`."""

    kept: np.ndarray
    company: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    x: np.ndarray
    y: np.ndarray
    errors: np.ndarray
    sigmoid: np.ndarray
    loss: np.ndarray


def work_room(time: int, window: int, outputs: int, width: int) -> Room:
    """Returns room for texts of so many ids, and so many outputs a word, of padded width."""
    points = np.arange(2 * SIGMOID_REACH * SIGMOID_STEPS + 2) / SIGMOID_STEPS - SIGMOID_REACH
    return Room(
        np.empty(time + 1, np.int32),
        np.empty(2 * window, np.int32),
        np.empty(outputs, np.int32),
        np.empty(outputs, np.float32),
        np.zeros((2 * window, width), np.float32),
        np.zeros((outputs, width), np.float32),
        np.empty((2 * window, outputs), np.float32),
        (1 / (1 + np.exp(-points))).astype(np.float32),
        np.zeros(2),
    )


@kernel
def train_piece(ids, tables, draws, paths, bags, plan, room, seed):
    """Trains on one piece of text, and returns the state of the random numbers after it.

    `room.loss` becomes the loss and the pairs of those words that were looked at.
    """
    state = seed
    kept, state = _subsample(ids, draws.keep, room.kept, state)
    company, loss = room.company, room.loss
    loss[0] = loss[1] = 0.0
    trained = 0
    for t in range(kept):
        word = room.kept[t]
        if word == END:
            continue
        state = _next(state)
        reach = 1 + _below(state, plan.window)
        size = 0
        for step in (-1, 1):
            place = t + step
            while 0 <= place < kept and abs(place - t) <= reach and room.kept[place] != END:
                company[size] = room.kept[place]
                size += 1
                place += step
        if size == 0:
            continue
        outputs, state = _choose(word, draws, paths, plan.negative, room, tables, state)
        inputs = _compose(company[:size], tables, bags, plan.cbow, room.x)
        _multiply(room.x, room.y, inputs, outputs, room.errors)
        if trained % LOSS_EVERY == 0:
            loss[0] += _loss(room.errors, room.targets, inputs, outputs)
            loss[1] += inputs
        trained += 1
        rate = plan.first_rate + (plan.last_rate - plan.first_rate) * t / kept
        _to_errors(room.errors, room.targets, inputs, outputs, np.float32(rate), room.sigmoid)
        _learn_outputs(tables.outputs, room.rows, room.x, room.errors, inputs, outputs)
        # The steps of the inputs take the place of the inputs.
        _steps_back(room.x, room.y, room.errors, inputs, outputs)
        _learn_inputs(company[:size], tables, bags, plan.cbow, room.x)
    return state


@kernel
def _next(state):
    """The linear congruential generator of drand48: 48 bits, of which the upper 32 are used."""
    return (state * 25214903917 + 11) & 0xFFFFFFFFFFFF


@kernel
def _below(state, size):
    return ((state >> 16) * size) >> 32


@kernel
def _subsample(ids, keep, kept, state):
    """Drops frequent words here and there, before windows are laid: they then reach further."""
    size = 0
    for word in ids:
        if word != END and keep[word] < DRAW:
            state = _next(state)
            if state >> 16 >= keep[word]:
                continue
        kept[size] = word
        size += 1
    return size, state


@kernel
def _choose(word, draws, paths, negative, room, tables, state):
    """Fills the outputs a word is told apart by, and copies their vectors."""
    size = 0
    if negative:
        room.rows[0] = word
        room.targets[0] = 1
        size = 1
    for _ in range(negative):
        state = _next(state)
        noise = _below(state, draws.share.size)
        state = _next(state)
        if state >> 16 >= draws.share[noise]:
            noise = draws.alias[noise]
        # Noise that hits the word itself is no noise.
        if noise != word:
            room.rows[size] = noise
            room.targets[size] = 0
            size += 1
    for place in range(paths.starts[word], paths.starts[word + 1]):
        room.rows[size] = paths.rows[place]
        room.targets[size] = paths.ways[place]
        size += 1
    for k in range(size):
        row = tables.outputs[room.rows[k]]
        for d in range(row.size):
            room.y[k, d] = row[d]
    return size, state


@kernel
def _compose(company, tables, bags, cbow, x):
    """Fills the input vectors, and returns how many they are."""
    width = x.shape[1]
    for c in range(company.size):
        to = 0 if cbow else c
        word = company[c]
        scale = bags.scale[word]
        for place in range(bags.starts[word], bags.starts[word + 1]):
            row = tables.inputs[bags.rows[place]]
            if place == bags.starts[word] and (c == 0 or not cbow):
                for d in range(width):
                    x[to, d] = scale * row[d]
            else:
                for d in range(width):
                    x[to, d] += scale * row[d]
    if not cbow:
        return company.size
    share = np.float32(1 / company.size)
    for d in range(width):
        x[0, d] *= share
    return 1


@sum_kernel
def _multiply(x, y, inputs, outputs, products):
    """Fills products[c, k] = x[c] . y[k], three at a time: x is then read once for them."""
    width = x.shape[1]
    for c in range(inputs):
        k = 0
        while k + 2 < outputs:
            one, two, three = np.float32(0), np.float32(0), np.float32(0)
            for d in range(width):
                value = x[c, d]
                one += value * y[k, d]
                two += value * y[k + 1, d]
                three += value * y[k + 2, d]
            products[c, k], products[c, k + 1], products[c, k + 2] = one, two, three
            k += 3
        while k < outputs:
            one = np.float32(0)
            for d in range(width):
                one += x[c, d] * y[k, d]
            products[c, k] = one
            k += 1


@kernel
def _loss(products, targets, inputs, outputs):
    """-log sigma(+-x . y), summed, in the form that neither overflows nor loses small values."""
    total = 0.0
    for c in range(inputs):
        for k in range(outputs):
            value = -products[c, k] if targets[k] else products[c, k]
            total += max(value, 0.0) + math.log1p(math.exp(-abs(value)))
    return total


@kernel
def _to_errors(products, targets, inputs, outputs, rate, sigmoid):
    """Turns products into rate * (t - sigma(product)); between points the table goes straight."""
    for c in range(inputs):
        for k in range(outputs):
            value = products[c, k]
            if abs(value) < SIGMOID_REACH:
                place = (value + np.float32(SIGMOID_REACH)) * np.float32(SIGMOID_STEPS)
                at = int(place)
                chance = sigmoid[at] + (sigmoid[at + 1] - sigmoid[at]) * (place - np.float32(at))
            elif value < 0:
                chance = np.float32(math.exp(value))
            else:
                chance = np.float32(1 / (1 + math.exp(-value)))
            products[c, k] = rate * (targets[k] - chance)


@sum_kernel
def _learn_outputs(table, rows, x, errors, inputs, outputs):
    width = x.shape[1]
    for k in range(outputs):
        row = table[rows[k]]
        c = 0
        while c + 1 < inputs:
            one, two = errors[c, k], errors[c + 1, k]
            for d in range(width):
                row[d] += one * x[c, d] + two * x[c + 1, d]
            c += 2
        if c < inputs:
            one = errors[c, k]
            for d in range(width):
                row[d] += one * x[c, d]


@sum_kernel
def _steps_back(x, y, errors, inputs, outputs):
    """Replaces each x by the sum of its errors times y."""
    width = x.shape[1]
    for c in range(inputs):
        for d in range(width):
            x[c, d] = 0
        k = 0
        while k + 2 < outputs:
            one, two, three = errors[c, k], errors[c, k + 1], errors[c, k + 2]
            for d in range(width):
                x[c, d] += one * y[k, d] + two * y[k + 1, d] + three * y[k + 2, d]
            k += 3
        while k < outputs:
            one = errors[c, k]
            for d in range(width):
                x[c, d] += one * y[k, d]
            k += 1


@kernel
def _learn_inputs(company, tables, bags, cbow, steps):
    """Adds the step of each input to every row it was made of, undivided, as word2vec does.

    For a mean of n rows that is n times the gradient, and the mean moves as one row would.
    """
    for c in range(company.size):
        step = steps[0 if cbow else c]
        word = company[c]
        for place in range(bags.starts[word], bags.starts[word + 1]):
            row = tables.inputs[bags.rows[place]]
            for d in range(row.size):
                row[d] += step[d]
