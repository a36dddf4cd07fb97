"""Models cut, mended, changed and cloned: the same numbers, the same layers, clear refusals."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers, ops

from taolu.nn.calls import calls, run, tensors
from taolu.nn.cut_set import missing
from taolu.nn.differentiate import grad
from taolu.nn.layers.tied_projection import TiedProjection
from taolu.nn.reuse import clone, features, freeze, insert, replace, split

pytestmark = pytest.mark.usefixtures("fast_compile")

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
IDS = np.array([[1, 2, 3, 0], [4, 5, 0, 0]])


def values(x):
    return [np.asarray(ops.convert_to_numpy(t)) for t in keras.tree.flatten(x)]


def assert_same(one, other):
    """Equal to the last bit."""
    for a, b in zip(values(one), values(other), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def through(halves, inputs):
    """The tail of the head, by way of plain arrays, which carry no mask behind Keras' back."""
    return halves.tail(keras.tree.map_structure(lambda x: values(x)[0], halves.head(inputs)))


def branched():
    """A residual, three branches, two outputs, raw operations and a shared layer."""
    x = keras.Input((4,), name="x")
    a = layers.Dense(4, activation="tanh", name="a")(x)
    b = layers.Dense(4, name="b")(a)
    residual = layers.Add(name="residual")([a, b])
    shared = layers.Dense(4, name="shared")
    c = shared(residual)
    d = shared(c)
    product = ops.multiply(c, d)
    join = layers.Concatenate(name="join")([product, b])
    return keras.Model(x, {"one": layers.Dense(2, name="one")(join), "two": d}, name="branched")


def simple():
    return keras.Sequential(
        [
            keras.Input((4,), name="x"),
            layers.Dense(4, name="first"),
            layers.Dense(4, name="second"),
            layers.Dense(2, name="head"),
        ],
        name="simple",
    )


def masked():
    ids = keras.Input((4,), dtype="int32", name="ids")
    h = layers.Embedding(9, 4, mask_zero=True, name="embed")(ids)
    h = layers.Dense(4, name="mix")(h)
    states = layers.GRU(4, return_sequences=True, return_state=True, name="gru")(h)
    return keras.Model(ids, [layers.Dense(2, name="tag")(states[0]), states[1]], name="masked")


def nested(name="nested"):
    encoder = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="inner")], name=f"{name}_encoder"
    )
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    both = layers.Subtract(name="difference")([encoder(left), encoder(right)])
    return keras.Model([left, right], layers.Dense(1, name="score")(both), name=name)


# A brute-force definition of a cut


def graph(model):
    """Parents of every tensor, by name."""
    names = {id(tensor): name for name, tensor in tensors(model).items()}
    parents = {name: set() for name in tensors(model)}
    for call in calls(model):
        for tensor in call.outputs:
            parents[names[id(tensor)]] = {names[id(source)] for source in call.inputs}
    return parents, {names[id(t)] for t in model.inputs}, {names[id(t)] for t in model.outputs}


def leaks(parents, inputs, name, cut):
    """Says whether a path from an input reaches this tensor past the cut."""
    if name in cut:
        return False
    return name in inputs or any(leaks(parents, inputs, parent, cut) for parent in parents[name])


def depends(parents, name, cut):
    return name in cut or any(depends(parents, parent, cut) for parent in parents[name])


def cuts(model, cut):
    parents, inputs, outputs = graph(model)
    return not any(leaks(parents, inputs, name, set(cut)) for name in outputs)


def subsets(names):
    return itertools.chain.from_iterable(
        itertools.combinations(names, size) for size in range(1, len(names) + 1)
    )


# Split


@pytest.fixture(scope="module")
def whole():
    return branched()


def test_the_calls_of_a_model_have_names(whole):
    assert [call.name for call in calls(whole)] == [
        *("a", "b", "residual", "shared@0", "shared@1"),
        *(next(n for n in tensors(whole) if n.startswith("multiply")), "join", "one"),
    ]
    assert list(tensors(masked()))[-3:] == ["gru", "gru:1", "tag"]


def test_running_the_calls_gives_what_the_model_gives(whole):
    assert_same(run(whole, ops.convert_to_tensor(X)), whole(X))
    model = nested()
    assert_same(run(model, [ops.convert_to_tensor(X)] * 2), model([X, X]))


def test_a_split_at_every_smallest_valid_cut_changes_nothing(whole):
    valid = [set(cut) for cut in subsets(tensors(whole)) if cuts(whole, cut)]
    smallest = [cut for cut in valid if not any(other < cut for other in valid)]
    assert len(smallest) > 5
    expected = whole(X)
    for cut in smallest:
        halves = split(whole, [name for name in tensors(whole) if name in cut])
        assert_same(through(halves, X), expected)


@pytest.mark.slow
def test_a_split_at_every_valid_cut_changes_nothing(whole):
    expected, valid = whole(X), [cut for cut in subsets(tensors(whole)) if cuts(whole, cut)]
    assert len(valid) == 481
    for cut in valid:
        assert_same(through(split(whole, cut), X), expected)


def test_what_is_missing_is_the_least_there_is(whole):
    """Against all subsets: valid, smallest, and none of it made from the cut itself."""
    parents, _, _ = graph(whole)
    names = list(parents)
    for cut in subsets(names):
        found = missing(whole, cut)
        if cuts(whole, cut):
            assert found == ()
            continue
        free = [name for name in names if not depends(parents, name, cut)]
        assert set(found) <= set(free)
        assert cuts(whole, {*cut, *found})
        assert not any(
            cuts(whole, {*cut, *others}) for others in itertools.combinations(free, len(found) - 1)
        )


def test_an_incomplete_cut_is_refused_and_says_what_would_mend_it(whole):
    with pytest.raises(ValueError, match=r"Missing: 'a'\. Received: at=\['b'\]; \['b', 'a'\]"):
        split(whole, "b")
    with pytest.raises(ValueError, match=r"Missing: 'b'\. Received: at=\['residual'\]"):
        split(whole, whole.get_layer("residual").output)
    halves = split(whole, ["b", "a"])
    assert_same(through(halves, X), whole(X))


def test_the_tail_has_the_layers_it_can_reach_and_no_more(whole):
    tail = split(whole, ["residual", "b"]).tail
    kept = ("shared", "join", "one")
    assert {layer.name for layer in tail.layers} == {"residual", "b", *kept}  # two are inputs
    assert tail.count_params() == sum(whole.get_layer(n).count_params() for n in kept)
    assert all(tail.get_layer(n) is whole.get_layer(n) for n in kept)


def test_a_cut_at_one_call_of_a_shared_layer():
    """`keras.Model(tensor, outputs)` fails on it: the other call keeps the layer in the tail."""
    x = keras.Input((4,), name="x")
    shared = layers.Dense(4, name="shared")
    model = keras.Model(x, shared(layers.Dense(4, name="middle")(shared(x))))
    halves = split(model, "shared@0")
    assert_same(through(halves, X), model(X))
    assert halves.tail.get_layer("shared") is shared
    assert halves.tail.count_params() == model.count_params()
    with pytest.raises(ValueError, match=r"Did you mean \['shared@0', 'shared@1'\]\?"):
        split(model, "shared")


def test_a_mask_that_passes_the_cut_is_missed():
    model = masked()
    mask = next(name for name in tensors(model) if name.startswith("not_equal"))
    with pytest.raises(ValueError, match=f"Missing: '{mask}'"):
        split(model, "mix")
    halves = split(model, ["mix", mask])
    assert_same(through(halves, IDS), model(IDS))


def test_further_outputs_of_a_call_have_names():
    model = masked()
    assert missing(model, "gru") == ("gru:1",)
    halves = split(model, ["gru", "gru:1"])
    assert_same(through(halves, IDS), model(IDS))


def test_a_split_around_a_nested_model_that_is_used_twice():
    model = nested()
    halves = split(model, ["nested_encoder@1", "nested_encoder@0"])
    assert_same(through(halves, [X, 2 * X]), model([X, 2 * X]))
    with pytest.raises(ValueError, match="lies inside 'nested_encoder', a model of its own"):
        split(model, "inner")
    with pytest.raises(ValueError, match="lies inside 'nested_encoder', a model of its own"):
        split(model, model.get_layer("nested_encoder").get_layer("inner").output)


def test_a_split_keeps_batch_statistics_shared():
    x = keras.Input((4,), name="x")
    h = layers.Dense(4, name="h")(x)
    model = keras.Model(x, layers.BatchNormalization(name="norm")(h))
    tail = split(model, "h").tail
    tail.get_layer("norm").moving_mean.assign(np.full(4, 2.0))
    assert_same(model(X), tail(model.get_layer("h")(X)))


def test_a_quantised_model_can_be_cut():
    model = simple()
    for layer in model.layers:
        layer.quantize("int8")
    halves = split(model, "first")
    assert_same(through(halves, X), model(X))


def test_tensors_of_another_model_are_refused():
    model = simple()
    with pytest.raises(ValueError, match=r"Did you mean \['first'\]\?"):
        split(model, "frst")
    with pytest.raises(ValueError, match=r"Its tensors: .*'second', 'head'"):
        split(model, "zzz")
    with pytest.raises(ValueError, match=r"a tensor of 'other', which is none"):
        split(model, layers.Dense(4, name="other")(keras.Input((4,))))
    with pytest.raises(ValueError, match=r"must hold symbolic tensors or names. Received: 3"):
        split(model, [3])
    with pytest.raises(ValueError, match=r"must hold a tensor. Received: none"):
        split(model, [])


def test_a_model_that_is_no_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    unbuilt = keras.Sequential([layers.Dense(2)])
    for model in (Own(), unbuilt):
        for change in (calls, clone, lambda m: split(m, "h"), lambda m: features(m, "h")):
            with pytest.raises(ValueError, match=r"must be a functional model.* Received: "):
                change(model)


# Insert and replace


def test_inserting_the_identity_changes_nothing(whole):
    for name in tensors(whole):
        changed = insert(whole, name, layers.Identity())
        assert_same(changed(X), whole(X))


def test_what_is_inserted_acts_on_all_that_follows(whole):
    half = layers.Rescaling(0.5)
    changed = insert(whole, "shared@0", half)
    halves = split(whole, ["shared@0", "b"])
    c, b = halves.head(X)
    assert_same(changed(X), halves.tail([half(c), b]))
    assert_same(insert(whole, "x", half)(X), whole(0.5 * X))
    doubled = insert(whole, "one", lambda t: t * 2)(X)
    assert_same(doubled["one"], whole(X)["one"] * 2)


def test_an_insertion_keeps_the_mask():
    model = masked()
    changed = insert(model, ["embed", "mix"], layers.Identity())
    assert_same(changed(IDS), model(IDS))


def test_a_replacement_takes_the_place_of_every_call(whole):
    new = replace(whole, "^shared$", lambda old: layers.Dense(4, name="new"))
    assert [call.name for call in calls(new)][3:5] == ["new@0", "new@1"]
    new.get_layer("new").set_weights(whole.get_layer("shared").get_weights())
    assert_same(new(X), whole(X))
    assert new.get_layer("a") is whole.get_layer("a")


def test_an_old_layer_may_be_part_of_the_new_one():
    @keras.saving.register_keras_serializable(package="test")
    class Adapter(layers.Layer):
        def __init__(self, inside, **kwargs):
            super().__init__(**kwargs)
            self.inside = inside

        def build(self, shape):
            self.scale = self.add_weight((), "ones", name="scale")

        def call(self, x):
            return self.inside(x) * self.scale

    model = simple()
    new = replace(model, "first|second", lambda old: Adapter(old, name=f"{old.name}_adapter"))
    assert_same(new(X), model(X))
    assert len(new.trainable_variables) == len(model.trainable_variables) + 2


def test_layers_may_be_changed_in_place_by_pattern():
    model = simple()
    frozen = len(model.variables)

    def low_rank(layer):
        layer.enable_lora(2)
        return layer

    new = replace(model, "first|second", low_rank)
    assert len(new.trainable_variables) == 2 * 3 + 2  # two factors and a bias each, and the head
    assert len(new.variables) == frozen + 4
    assert_same(new(X), model(X))


def test_a_replacement_reaches_into_nested_models():
    model = nested()
    new = replace(model, "inner", lambda old: layers.Dense(4, name="other"))
    encoder = new.get_layer("nested_encoder")
    assert [layer.name for layer in encoder.layers][-1] == "other"
    assert [call.name for call in calls(new)][:2] == ["nested_encoder@0", "nested_encoder@1"]
    assert new.get_layer("score") is model.get_layer("score")
    one_layer = replace(model, model.get_layer("score"), lambda old: layers.Dense(3))
    assert one_layer.output_shape == (None, 3)
    assert one_layer.get_layer("nested_encoder") is model.get_layer("nested_encoder")


def test_a_replacement_need_not_know_the_mask_but_must_give_as_many_tensors():
    class Ends(layers.Layer):
        supports_masking = True

        def call(self, x):
            return x, x[:, -1]

    model = masked()
    assert replace(model, "gru", lambda old: Ends()).output_shape == [(None, 4, 2), (None, 4)]
    with pytest.raises(ValueError, match=r"for 'gru' must give 2 tensors, .* Received: 1\."):
        replace(model, "gru", lambda old: layers.Dense(4))


def test_a_pattern_without_a_match_lists_the_names():
    with pytest.raises(ValueError, match=r"which='nothing'; layers are \['first', 'head', 'sec"):
        replace(simple(), "nothing", lambda old: old)
    with pytest.raises(ValueError, match=r"pattern='nothing'; tensors are \['x', 'first'"):
        features(simple(), "nothing")
    with pytest.raises(ValueError, match=r"pattern='nothing'; layers are \['first', 'second'"):
        freeze(simple(), "nothing")


# Tie


def tied_and_untied():
    """A language model whose output reads its embedding, and one with a matrix of its own."""
    ids = keras.Input((4,), dtype="int32", name="ids")
    embed = layers.Embedding(9, 4, name="embed")
    out = layers.Dense(9, name="out")(layers.Dense(4, activation="tanh", name="mix")(embed(ids)))
    untied = keras.Model(ids, out, name="language")
    tied = replace(untied, "^out$", lambda old: TiedProjection(embed, name="tied"))
    kernel = np.transpose(embed.get_weights()[0])
    untied.get_layer("out").set_weights([kernel, np.zeros(9, "float32")])
    return tied, untied


def test_the_gradient_of_a_tied_matrix_is_the_sum_of_both():
    tied, untied = tied_and_untied()
    assert_same(tied.get_layer("embed").embeddings, untied.get_layer("embed").embeddings)
    np.testing.assert_allclose(values(tied(IDS))[0], values(untied(IDS))[0], rtol=0, atol=1e-6)

    def gradients(model, variables):
        return values(grad(lambda: ops.mean(ops.square(model(IDS) - 1)), variables))

    table = tied.get_layer("embed").embeddings
    (both,) = gradients(tied, [table])
    read, written = gradients(untied, [table, untied.get_layer("out").kernel])
    np.testing.assert_allclose(both, read + written.T, rtol=0, atol=1e-6)


def test_a_tie_holds_in_a_clone_and_after_loading(tmp_path):
    tied, _ = tied_and_untied()
    tied.save(tmp_path / "tied.keras")
    for other in (
        clone(tied, copy_weights=True),
        keras.models.load_model(tmp_path / "tied.keras"),
    ):
        embedding = other.get_layer("embed")
        assert other.get_layer("tied").embedding is embedding
        assert embedding is not tied.get_layer("embed")
        assert other.count_params() == tied.count_params()
        assert len(other.variables) == len(tied.variables)
        assert_same(other(IDS), tied(IDS))
        embedding.embeddings.assign(embedding.embeddings * 2)
        assert np.abs(values(other(IDS))[0] - values(tied(IDS))[0]).max() > 1e-3


def test_a_reversible_embedding_of_keras_can_be_cut_between_its_two_calls():
    ids = keras.Input((4,), dtype="int32", name="ids")
    table = layers.ReversibleEmbedding(9, 4, name="table")
    h = layers.Dense(4, name="mix")(table(ids))
    model = keras.Model(ids, table(h, reverse=True))
    halves = split(model, "mix")
    assert halves.tail.get_layer("table") is table
    assert_same(through(halves, IDS), model(IDS))


# Clone, features, freeze


def test_a_clone_has_the_same_values_only_when_asked(whole):
    keras.utils.set_random_seed(1)  # not that of the whole
    fresh, exact = clone(whole), clone(whole, copy_weights=True)
    assert_same(exact(X), whole(X))
    assert np.abs(values(fresh(X))[0] - values(whole(X))[0]).max() > 1e-3
    assert fresh.count_params() == exact.count_params() == whole.count_params()
    for copy in (fresh, exact):
        assert copy.get_layer("shared") is not whole.get_layer("shared")
        assert [call.name for call in calls(copy)][3:5] == ["shared@0", "shared@1"]


def test_a_clone_shares_no_nested_layer_and_copies_statistics():
    x = keras.Input((4,), name="x")
    inner = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(name="norm")])
    model = keras.Model(x, inner(layers.Dense(4)(x)))
    inner.layers[0].moving_mean.assign(np.full(4, 3.0))
    copy = clone(model, copy_weights=True)
    assert_same(copy(X), model(X))
    inner.layers[0].moving_mean.assign(np.zeros(4))
    assert np.abs(values(copy(X))[0] - values(model(X))[0]).max() > 1


def test_features_come_by_name(whole):
    found = features(whole, r"^shared|^b$")(X)
    assert set(found) == {"b", "shared@0", "shared@1"}
    assert_same(found["shared@1"], whole(X)["two"])


def test_frozen_layers_are_those_that_match():
    model = nested()
    assert freeze(model, "encoder/inner$") == ("nested_encoder/inner",)
    assert [v.path for v in model.trainable_variables] == ["score/kernel", "score/bias"]
    recurrent = masked()
    assert freeze(recurrent, "recurrent_kernel") == ("gru/gru_cell/recurrent_kernel",)
    assert not recurrent.get_layer("gru").cell.recurrent_kernel.trainable
    norm = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(name="norm")])
    freeze(norm, "norm")
    norm(X, training=True)
    assert_same(norm.layers[0].moving_mean, np.zeros(4, "float32"))


def test_a_frozen_part_does_not_move_and_a_model_in_training_is_refused():
    model = simple()
    freeze(model, "first")
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = [np.copy(value) for value in model.get_weights()]
    model.fit(X, np.ones((3, 2)), verbose=0)
    moved = [
        bool(np.abs(a - b).max() > 0) for a, b in zip(before, model.get_weights(), strict=True)
    ]
    assert moved == [False, False, True, True, True, True]
    with pytest.raises(ValueError, match=r"must not be in training.* Received: 'simple'"):
        freeze(model, "second")
    model.compile(keras.optimizers.SGD(0.1), "mse")
    assert freeze(model, "second") == ("second",)


# Save and load


def test_every_result_saves_and_loads(tmp_path, whole):
    halves = split(whole, ["shared@0", "b"])
    cut = halves.head(X)
    for model, inputs in (
        (halves.head, X),
        (halves.tail, cut),
        (insert(whole, "shared@0", layers.Rescaling(0.5)), X),
        (replace(whole, "join", lambda old: layers.Concatenate(name="new")), X),
        (features(whole, "shared"), X),
        (clone(whole), X),
    ):
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert_same(loaded(inputs), model(inputs))
