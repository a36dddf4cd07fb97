"""Lazy: unused rows stay to the last bit, used rows move as if the others did not exist."""

import keras
import numpy as np
import pytest
from keras import ops

from taolu.nn.optimizers.lazy import Lazy
from taolu.nn.optimizers.lookahead import Lookahead
from taolu.nn.optimizers.marked_embedding import MarkedEmbedding

K = keras.optimizers
MODES = ("frozen_slots", "decay_slots")
ROWS, WIDTH, STEPS = 6, 3, 20
RNG = np.random.default_rng(0)
START = (RNG.normal(size=(ROWS, WIDTH)) / 10).astype("float32")  # small, to round little
GRADIENTS = RNG.normal(size=(STEPS, ROWS, WIDTH)).astype("float32")
USED = RNG.random((STEPS, ROWS)) < 0.4
USED[:, 0] = False  # a row that no batch ever uses
USED[0, 1:] = True  # the others have momentum from the first step on

INNER = {
    "Adam": lambda **k: K.Adam(0.005, **k),
    "Adam, amsgrad": lambda **k: K.Adam(0.005, amsgrad=True, **k),
    "AdamW": lambda **k: K.AdamW(0.005, weight_decay=0.1, **k),
    "Adamax": lambda **k: K.Adamax(0.005, **k),
    "SGD, Nesterov": lambda **k: K.SGD(0.005, momentum=0.9, nesterov=True, **k),
    "RMSprop": lambda **k: K.RMSprop(0.005, momentum=0.5, centered=True, **k),
    "Adagrad": lambda **k: K.Adagrad(0.005, **k),
    "Adadelta": lambda **k: K.Adadelta(0.5, **k),
    "Lion": lambda **k: K.Lion(0.005, **k),
    "Ftrl": lambda **k: K.Ftrl(0.005, **k),
}


def array(value):
    return np.array(ops.convert_to_numpy(value))


def slots(inner, index=0):
    """The arrays that a plain optimizer holds for one of two variables."""
    lists = [v for v in vars(inner).values() if isinstance(v, list) and len(v) == 2]
    return [array(v[index]) for v in lists if v is not inner._trainable_variables]


class Run:
    """A table and a plain weight, stepped with gradients that are zero on unused rows."""

    def __init__(self, optimizer, start=START):
        self.optimizer = optimizer
        self.table = keras.Variable(start, name="embeddings")
        self.weight = keras.Variable(START, name="kernel")
        self.optimizer.build([self.table, self.weight])

    def step(self, t, used=None):
        gradient = GRADIENTS[t] * (USED[t] if used is None else used)[:, None]
        grads = [ops.convert_to_tensor(g) for g in (gradient, GRADIENTS[t])]
        self.optimizer.apply(grads, [self.table, self.weight])
        return array(self.table)


# Unused rows


@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("mode", MODES)
def test_unused_rows_stay_to_the_last_bit(name, mode):
    row_steps = None if mode == "frozen_slots" else False
    run = Run(Lazy(INNER[name](), mode, row_steps=row_steps))
    before = START
    for t in range(STEPS):
        kept = slots(run.optimizer.inner)
        after = run.step(t)
        np.testing.assert_array_equal(after[~USED[t]], before[~USED[t]])
        assert (after[USED[t]] != before[USED[t]]).all()
        if mode == "frozen_slots":
            for old, new in zip(kept, slots(run.optimizer.inner), strict=True):
                np.testing.assert_array_equal(new[~USED[t]], old[~USED[t]])
        before = after
    np.testing.assert_array_equal(before[0], START[0])


def test_without_lazy_the_same_rows_drift():
    run = Run(K.Adam(0.05))
    first = run.step(0)
    second = run.step(1)
    assert (second[1:][~USED[1][1:]] != first[1:][~USED[1][1:]]).any()


# Used rows


@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("mode", MODES)
def test_when_every_row_is_used_it_is_the_inner_optimizer(name, mode, figure):
    everything = np.ones(ROWS, bool)
    lazy, plain = Run(Lazy(INNER[name](), mode)), Run(INNER[name]())
    for t in range(STEPS):
        ours, theirs = lazy.step(t, everything), plain.step(t, everything)
        # Nothing differs on JAX and TensorFlow. On torch Keras decays by one factor,
        # 1 - rate * decay, so there the last digit of AdamW is rounded another way.
        rounded = keras.backend.backend() == "torch" and name == "AdamW"
        close = {"rtol": 0, "atol": 2e-7 if rounded else 1e-7}
        figure("Lazy, every row used, beside its inner optimizer", np.abs(ours - theirs).max())
        np.testing.assert_allclose(ours, theirs, **close)
        np.testing.assert_allclose(array(lazy.weight), array(plain.weight), **close)


def test_a_row_follows_the_run_of_only_its_own_steps(figure):
    run = Run(Lazy(K.Adam(0.05)))
    for t in range(STEPS):
        last = run.step(t)
    for row in range(1, ROWS):
        alone, variable = K.Adam(0.05), keras.Variable(START[row])
        for t in np.flatnonzero(USED[:, row]):
            alone.apply([ops.convert_to_tensor(GRADIENTS[t, row])], [variable])
        # Exactly; torch alone rounds a row by itself otherwise than in a table.
        atol = 2e-7 if keras.backend.backend() == "torch" else 0
        figure("Lazy, a row beside its own steps", np.abs(last[row] - array(variable)).max())
        np.testing.assert_allclose(last[row], array(variable), rtol=0, atol=atol)


def test_one_clock_for_all_rows_can_be_asked_for():
    run = Run(Lazy(K.Adam(0.05), row_steps=False))
    one_row = np.arange(ROWS) == 2
    run.step(0, ~one_row)
    after = run.step(1, one_row)
    # Its first use, corrected as a second step: m_hat = 0.1 g / 0.19, v_hat = 0.001 g^2 / 0.001999.
    length = 0.05 * (0.1 / 0.19) / np.sqrt(0.001 / 0.001999)
    np.testing.assert_allclose(np.abs(after[2] - START[2]), length, rtol=1e-4)
    per_row = Run(Lazy(K.Adam(0.05)))
    per_row.step(0, ~one_row)
    np.testing.assert_allclose(np.abs(per_row.step(1, one_row)[2] - START[2]), 0.05, rtol=1e-4)


def test_decaying_slots_go_on_as_in_plain_adam():
    # The author's rule in double precision: moments as usual, the step times the flag.
    run, theta, m, v = Run(Lazy(K.Adam(0.05), "decay_slots")), START.astype("float64"), 0.0, 0.0
    for t in range(STEPS):
        g = GRADIENTS[t].astype("float64") * USED[t][:, None]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        rate = 0.05 * np.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1))
        theta = theta - rate * m / (np.sqrt(v) + 1e-7) * USED[t][:, None]
        np.testing.assert_allclose(run.step(t), theta, rtol=0, atol=1e-5)
    np.testing.assert_allclose(slots(run.optimizer.inner)[0], m, rtol=0, atol=1e-6)


def test_adam_moves_a_row_six_rates_for_one_use():
    # The example of the guide page: the row is used in the first of 61 steps.
    steps = np.arange(1, 62)
    m_hat = 0.1 * 0.9 ** (steps - 1) / (1 - 0.9**steps)
    v_hat = 0.001 * 0.999 ** (steps - 1) / (1 - 0.999**steps)
    lengths = m_hat / np.sqrt(v_hat)
    np.testing.assert_allclose(lengths[:4], [1, 0.67, 0.52, 0.42], atol=0.005)
    used = np.arange(ROWS) == 2
    for run, expected in ((Run(K.Adam(0.01)), lengths.sum()), (Run(Lazy(K.Adam(0.01))), 1.0)):
        run.step(0, used)
        for _ in range(60):
            moved = run.step(1, np.zeros(ROWS, bool))
        np.testing.assert_allclose(np.abs(moved[2] - START[2]) / 0.01, expected, rtol=1e-4)
    assert lengths.sum() == pytest.approx(6, abs=0.02)


# What makes gradients dense


@pytest.mark.parametrize(("everywhere", "rows_decayed"), [(False, USED[1]), (True, [True] * ROWS)])
def test_decay_reaches_unused_rows_only_when_told(everywhere, rows_decayed):
    run = Run(Lazy(K.SGD(0.5, weight_decay=0.1), decay_untouched=everywhere, fixed_rows=[0]))
    after = run.step(1)
    factor = np.where(rows_decayed, 1 - 0.5 * 0.1, 1.0)
    factor[0] = 1.0  # fixed, even if everything decays
    expected = START * factor[:, None] - 0.5 * GRADIENTS[1] * USED[1][:, None]
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-7)


def test_variables_excluded_from_decay_stay_excluded():
    lazy = Lazy(K.SGD(0.5, weight_decay=0.1), decay_untouched=True)
    lazy.exclude_from_weight_decay(var_names=["embeddings"])
    run = Run(lazy)
    after = run.step(1)
    np.testing.assert_array_equal(after[~USED[1]], START[~USED[1]])
    np.testing.assert_allclose(
        array(run.weight), START * 0.95 - 0.5 * GRADIENTS[1], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "settings", [{"global_clipnorm": 0.1}, {"clipnorm": 0.1}, {"clipvalue": 0.1}]
)
def test_clipping_is_that_of_the_inner_optimizer(settings):
    everything = np.ones(ROWS, bool)
    lazy, plain = Run(Lazy(K.SGD(1.0, **settings))), Run(K.SGD(1.0, **settings))
    np.testing.assert_allclose(lazy.step(0, everything), plain.step(0, everything), atol=1e-7)
    np.testing.assert_allclose(array(lazy.weight), array(plain.weight), atol=1e-7)
    before = array(lazy.table)
    np.testing.assert_array_equal(lazy.step(1)[~USED[1]], before[~USED[1]])


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_a_constraint_moves_no_unused_row(decay):
    constraint = keras.constraints.UnitNorm(axis=1)
    layer = keras.layers.Embedding(ROWS, WIDTH, embeddings_constraint=constraint)
    layer.build()
    layer.embeddings.assign(START)
    optimizer = Lazy(K.SGD(0.1, weight_decay=decay), decay_untouched=True)
    gradient = ops.convert_to_tensor(GRADIENTS[1] * USED[1][:, None])
    optimizer.apply([gradient], [layer.embeddings])
    after = array(layer.embeddings)
    np.testing.assert_allclose(after[~USED[1]], START[~USED[1]] * (1 - 0.1 * decay), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(after[USED[1]], axis=1), 1, rtol=1e-5)


def test_averages_know_only_the_rows_as_they_are():
    run = Run(Lazy(K.Adam(0.05, use_ema=True, ema_momentum=0.5), "decay_slots"))
    expected = None
    for t in range(STEPS):
        weights = run.step(t)
        expected = weights if expected is None else 0.5 * expected + 0.5 * weights
    [average, _] = run.optimizer._model_variables_moving_average
    np.testing.assert_allclose(array(average), expected, rtol=1e-5, atol=1e-6)
    run.optimizer.finalize_variable_values([run.table, run.weight])
    np.testing.assert_array_equal(array(run.table), array(average))


def test_gathered_batches_use_their_rows_together():
    run = Run(Lazy(K.Adam(0.05, gradient_accumulation_steps=2)))
    for t in range(0, 6, 2):
        before = array(run.table)
        np.testing.assert_array_equal(run.step(t), before)
        after, used = run.step(t + 1), USED[t] | USED[t + 1]
        np.testing.assert_array_equal(after[~used], before[~used])
        assert (after[used] != before[used]).all()
    alone, variable = K.Adam(0.05), keras.Variable(START[3])
    for pair, used in zip(
        GRADIENTS[:6].reshape(-1, 2, ROWS, WIDTH), USED[:6].reshape(-1, 2, ROWS), strict=True
    ):
        if used[:, 3].any():
            mean = (pair[:, 3] * used[:, 3, None]).mean(axis=0)
            alone.apply([ops.convert_to_tensor(mean)], [variable])
    np.testing.assert_allclose(after[3], array(variable), rtol=1e-5, atol=1e-6)


def test_a_fixed_row_never_moves_and_never_clips_the_others():
    run = Run(Lazy(K.SGD(1.0, global_clipnorm=1.0), fixed_rows=(2,)))
    plain = Run(K.SGD(1.0, global_clipnorm=1.0))
    after = run.step(0)
    np.testing.assert_array_equal(after[2], START[2])
    plain.step(0, USED[0] & (np.arange(ROWS) != 2))
    np.testing.assert_allclose(array(run.weight), array(plain.weight), atol=1e-7)


# Ids from the layer, in `fit`


def text_model(optimizer, layer=MarkedEmbedding, words=20, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layer(words, 3, name="words", **options),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1, name="score"),
        ]
    )
    model.compile(optimizer, "mse")
    return model


def text(first, last, rows=16, seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(first, last, (rows, 4)), rng.normal(size=(rows, 1)).astype("float32")


def train(model, x, y):
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)


def table(model):
    return array(model.get_layer("words").embeddings)


@pytest.mark.parametrize(
    ("layer", "wrap"),
    [
        (keras.layers.Embedding, lambda o: o),
        (MarkedEmbedding, lambda o: o),
        (MarkedEmbedding, lambda o: Lookahead(o, 3, inner_state="reset")),
        (MarkedEmbedding, K.LossScaleOptimizer),
    ],
    ids=["by gradient", "by ids", "in Lookahead", "in loss scaling"],
)
def test_fit_leaves_words_alone_that_no_batch_has(layer, wrap):
    model = text_model(wrap(Lazy(K.AdamW(0.05), mode="frozen_slots")), layer)
    train(model, *text(0, 20))
    seen_once = table(model)
    x, y = text(5, 10)  # from here on only five words, and the momentum of the others
    train(model, x, y)
    used = np.isin(np.arange(20), x)
    np.testing.assert_array_equal(table(model)[~used], seen_once[~used])
    assert (table(model)[used] != seen_once[used]).any(axis=1).all()


def test_the_layer_counts_its_ids():
    model = text_model(K.SGD(0.1))
    x, y = text(0, 20, rows=4)
    loss = model.train_on_batch(x, y)
    marks = array(model.get_layer("words").marks)
    np.testing.assert_array_equal(marks, np.bincount(x.ravel(), minlength=20))
    plain = text_model(K.SGD(0.1), keras.layers.Embedding)
    plain.set_weights([w for w in text_model(K.SGD(0.1)).get_weights() if w.shape != (20,)])
    assert loss == pytest.approx(plain.train_on_batch(x, y), rel=1e-6)
    np.testing.assert_allclose(table(model), table(plain), rtol=1e-6, atol=1e-7)


def test_ids_see_through_a_regulariser():
    options = {"embeddings_regularizer": keras.regularizers.L2(0.1)}
    x, y = text(5, 10)
    used = np.isin(np.arange(20), x)
    marked = text_model(Lazy(K.Adam(0.05)), **options)
    before = table(marked)
    train(marked, x, y)
    np.testing.assert_array_equal(table(marked)[~used], before[~used])
    by_gradient = text_model(Lazy(K.Adam(0.05)), keras.layers.Embedding, **options)
    with pytest.warns(
        UserWarning, match=r"no effect on '.*words/embeddings': .* 100.0% of its rows"
    ):
        train(by_gradient, x, y)
    assert (table(by_gradient) != before).all()


def test_ids_see_a_row_whose_gradient_has_vanished():
    layer = MarkedEmbedding(3, 2)
    layer.build()
    start = array(layer.embeddings)
    variables, optimizer = layer.trainable_variables, Lazy(K.Adam(0.1))
    once = [
        ops.convert_to_tensor(np.float32([[1, 1]] * 3)),
        ops.convert_to_tensor(np.float32([1, 1, 1])),
    ]
    optimizer.apply(once, variables)
    first = array(layer.embeddings)
    vanished = [ops.zeros((3, 2)), ops.convert_to_tensor(np.float32([2, 0, 1]))]
    optimizer.apply(vanished, variables)
    moved = (array(layer.embeddings) != first).all(axis=1)
    assert moved.tolist() == [True, False, True]
    assert (first != start).all()
    assert optimizer.touched_share == {variables[0].path: pytest.approx(5 / 6)}


def test_ids_work_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = text_model(Lazy(K.Adam(0.05)))
    finally:
        keras.config.set_dtype_policy("float32")
    before, (x, y) = table(model), text(5, 10)
    train(model, x, y)
    used = np.isin(np.arange(20), x)
    np.testing.assert_array_equal(table(model)[~used], before[~used])
    assert (table(model)[used] != before[used]).all()


def test_a_table_tied_to_a_softmax_is_warned_of():
    keras.utils.set_random_seed(0)
    ids = keras.Input((4,), dtype="int32")
    words = keras.layers.ReversibleEmbedding(20, 3, name="words")
    model = keras.Model(ids, words(words(ids), reverse=True))
    model.compile(Lazy(K.Adam(0.05)), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, _ = text(5, 10)
    with pytest.warns(UserWarning, match="Is it tied to a softmax, or regularised"):
        model.fit(x, x, batch_size=4, verbose=0)
    assert list(model.optimizer.touched_share.values()) == [1.0]


# Choosing tables, saving


@pytest.mark.parametrize("by", ["pattern", "path", "variable"])
def test_tables_are_found_by_pattern_by_path_and_by_variable(by):
    model = text_model(K.SGD(0.1), keras.layers.Embedding)
    words = model.get_layer("words").embeddings
    choice = {
        "pattern": {"pattern": "/words/"},
        "path": {"variables": [words.path]},
        "variable": {"variables": [words]},
    }
    optimizer = Lazy(K.Adam(0.05), **choice[by])
    model.compile(optimizer, "mse")
    train(model, *text(5, 10))
    assert list(optimizer.touched_share) == [words.path]


def test_training_goes_on_bitwise_after_saving(tmp_path):
    model = text_model(Lazy(K.Adam(0.05, use_ema=True), fixed_rows=[0]))
    first, second = text(0, 20), text(5, 10)
    model.train_on_batch(*first)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.train_on_batch(*second)
    for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_configuration_comes_back():
    lazy = Lazy(
        K.Adam(K.schedules.CosineDecay(0.1, 10), clipnorm=1.0),
        "decay_slots",
        variables=["words/embeddings"],
        decay_untouched=True,
        fixed_rows=[0],
        name="slow",
    )
    again = K.deserialize(K.serialize(lazy))
    assert again.get_config() == lazy.get_config()
    assert (again.mode, again.fixed_rows, again.clipnorm) == ("decay_slots", (0,), 1.0)


def test_a_schedule_is_that_of_the_inner_optimizer():
    schedule = K.schedules.PiecewiseConstantDecay([1], [1.0, 0.1])
    run = Run(Lazy(K.SGD(schedule)))
    path = [START] + [run.step(t, np.ones(ROWS, bool)) for t in range(3)]
    steps = [np.mean((a - b) / g) for a, b, g in zip(path, path[1:], GRADIENTS, strict=False)]
    np.testing.assert_allclose(steps, [1.0, 1.0, 0.1], rtol=1e-4)
    assert float(array(run.optimizer.learning_rate)) == pytest.approx(0.1)


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "frozen"}, r"`mode` must be one of .* Received: mode='frozen'"),
        ({"mode": "decay_slots", "row_steps": True}, r"`row_steps` must be False .*=True"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Lazy(K.Adam(), **arguments)


@pytest.mark.parametrize(
    "inner", [lambda: K.LossScaleOptimizer(K.SGD()), K.Nadam], ids=["scaled", "Nadam"]
)
def test_only_plain_optimizers_fit_inside(inner):
    with pytest.raises(ValueError, match=r"must be a plain optimizer .* Received: inner='"):
        Lazy(inner())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pattern": "words"},
            r"must name trainable tables. Received: 'words', with the variables",
        ),
        ({"variables": ["nothing"]}, r"Received: \['nothing'\], with the variables \['embeddings'"),
        ({"pattern": "bias"}, r"must have two dimensions .* 'bias' of shape \(3,\)"),
        ({"fixed_rows": [6]}, r"hold the `fixed_rows`. Received: fixed_rows=\(6,\)"),
    ],
)
def test_tables_that_cannot_be_are_named(options, message):
    variables = [keras.Variable(START, name="embeddings"), keras.Variable(START[0], name="bias")]
    with pytest.raises(ValueError, match=message):
        Lazy(K.Adam(), **options).build(variables)


def test_row_steps_need_slots_like_the_table():
    variable = keras.Variable(START, name="embeddings")
    with pytest.raises(ValueError, match=r"set row_steps=False. Received: inner='adafactor"):
        Lazy(K.Adafactor(0.1)).build([variable])
    lazy = Lazy(K.Adafactor(0.1), row_steps=False)
    lazy.apply([ops.convert_to_tensor(GRADIENTS[1] * USED[1][:, None])], [variable])
    np.testing.assert_array_equal(array(variable)[~USED[1]], START[~USED[1]])


def test_gradients_and_variables_must_match():
    variable = keras.Variable(START, name="embeddings")
    with pytest.raises(
        ValueError, match=r"one entry for each variable. Received: 2 gradients and 1"
    ):
        Lazy(K.Adam()).apply([ops.zeros((ROWS, WIDTH))] * 2, [variable])
    with pytest.raises(ValueError, match="`trainable_variables` must be given at the first step"):
        Lazy(K.Adam()).apply([ops.zeros((ROWS, WIDTH))])
