"""A model whose train step is written once, for every backend."""

import functools

import keras
from keras import ops, tree

from taolu.nn.differentiate import apply_gradients, check_result, run_step, value_and_grad
from taolu.nn.optimizer_group import OptimizerGroup

# What `keras.Model(inputs, outputs)` really is; Keras has no other name for it.
_Functional = type(keras.Model.__new__(keras.Model, None, None))


class StepModel(keras.Model):
    """A model whose train step is written once, for every backend.

    Subclasses write `step(data) -> logs`, in plain Keras; `fit`, `train_on_batch`, callbacks and
    checkpoints then work as they always do. A step differentiates, lets an optimizer apply the
    gradients, and records its loss:

        def step(self, data):
            x, y, weight = keras.utils.unpack_x_y_sample_weight(data)

            def objective():
                prediction = self(x, training=True)
                return self.compute_loss(x, y, prediction, weight), prediction

            variables = self.trainable_variables
            (loss, prediction), gradients = self.value_and_grad(objective, variables, True)
            self.update(gradients, variables)
            return self.record(loss, x, y, prediction, weight)

    Saving the model or its weights also keeps the states of its random generators, so that training
    goes on to the last bit; plain Keras models load what a StepModel saves, and the other way.
    `self.value_and_grad` and `self.update` also scale the loss, which float16 needs; the functions
    of the module do not know the optimizer. `evaluate` calls `measure`. Every Variable that a step
    writes must belong to the model, as a weight, a metric or part of the optimizer.

    Args:
        As `keras.Model`.

    Example:
        >>> class Plain(StepModel):
        ...     def step(self, data):
        ...         x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        ...         objective = lambda: self.compute_loss(x, y, self(x, training=True))
        ...         loss, gradients = self.value_and_grad(objective, self.trainable_variables)
        ...         self.update(gradients, self.trainable_variables)
        ...         return self.record(loss, x)
        >>> inputs = keras.Input((1,))
        >>> model = Plain(inputs, keras.layers.Dense(1, kernel_initializer="zeros")(inputs))
        >>> model.compile(keras.optimizers.SGD(0.25), "mse")
        >>> import numpy as np
        >>> x = np.ones((2, 1), "float32")
        >>> [float(model.train_on_batch(x, 4 * x)) for _ in range(3)]
        [16.0, 0.0, 0.0]
    """

    def __init__(self, *args, **kwargs):
        if len(args) == 2 or "outputs" in kwargs:  # inputs and outputs: a functional model
            object.__setattr__(self, "__class__", _functional(type(self)))
            _Functional.__init__(self, *args, **kwargs)
        else:
            super().__init__(*args, **kwargs)
        self._random_states = _RandomStates(self._seeds)

    def step(self, data):
        """Trains on one batch; subclasses write it.

        Args:
            data: What `fit` was given, one batch of it.

        Returns:
            The logs, a dict of name to scalar.
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` must define `step(self, data)`, which trains on one batch "
            f"and returns a dict of logs. Received: a StepModel without it."
        )

    def measure(self, data):
        """Evaluates one batch, by default with the loss and metrics given to `compile`.

        Args:
            data: What `evaluate` was given, one batch of it.

        Returns:
            The logs, a dict of name to scalar.
        """
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        prediction = self(x, training=False)
        loss = self.compute_loss(x, y, prediction, weight, training=False)
        return self.record(loss, x, y, prediction, weight)

    def value_and_grad(self, f, wrt, has_aux=False, optimizer=None):
        """`value_and_grad` with the loss scaling of the optimizer, for float16.

        Float16 flushes small gradients to zero. The loss is multiplied by `s` before the backward
        pass and the gradients divided by `s` after it, `(1/s) d(s f) = df`, so value and
        gradients have their true size on every policy; those of float16 tensors come as float32.

        Args:
            f: As in the function `value_and_grad`.
            wrt: As in the function `value_and_grad`.
            has_aux: As in the function `value_and_grad`.
            optimizer: The one that knows the scale; needed if the model has an `OptimizerGroup`.

        Returns:
            As the function `value_and_grad`.

        Raises:
            ValueError: The model is not compiled, or which optimizer is meant is not clear.
        """
        scale = _scale(self._optimizer(optimizer))
        if scale is None:
            return value_and_grad(f, wrt, has_aux)

        def scaled(*tensors):
            value, aux = check_result(f(*tensors), has_aux)
            return _widened(value) * scale, (value, aux)

        (_, result), gradients = value_and_grad(scaled, wrt, has_aux=True)
        gradients = tree.map_structure(lambda g: _widened(g) / scale, gradients)
        return (result if has_aux else result[0]), gradients

    def update(self, gradients, variables, optimizer=None):
        """Lets the optimizer apply gradients of true size, as `value_and_grad` gives them.

        Use it in place of `optimizer.apply`: a `LossScaleOptimizer` divides by its scale, which is
        multiplied in here, and leaves out the step if a gradient is not finite.

        Args:
            gradients: Tensors, in a nest like `variables`.
            variables: Variables the optimizer was built for.
            optimizer: Which optimizer; needed if the model has an `OptimizerGroup`.

        Raises:
            ValueError: The model is not compiled, or which optimizer is meant is not clear.
        """
        optimizer = self._optimizer(optimizer)
        gradients, variables = tree.flatten(gradients), tree.flatten(variables)
        scale = _scale(optimizer)
        if scale is not None:
            gradients = [gradient * scale for gradient in gradients]
        apply_gradients(optimizer, gradients, variables)

    def record(self, loss, x, y=None, prediction=None, sample_weight=None):
        """The mean loss and the compiled metrics of the epoch so far, this batch included.

        Args:
            loss: Scalar of this batch.
            x: Inputs; tells the size of the batch, by which losses are weighted.
            y: Targets, for the compiled metrics.
            prediction: Outputs, for the compiled metrics. Without it those are not touched.
            sample_weight: Weights, for the weighted metrics.

        Returns:
            The logs, a dict of name to scalar.
        """
        first = next(leaf for leaf in tree.flatten(x) if leaf is not None)
        self._loss_tracker.update_state(loss, sample_weight=ops.shape(first)[0])
        if prediction is None:
            return self.get_metrics_result()
        return self.compute_metrics(x, y, prediction, sample_weight)

    def variables_of(self, name):
        """The Variables that one member of an `OptimizerGroup` trains.

        Args:
            name: Name of the member; by default also that of the sub-model it trains.

        Returns:
            List of Variables.
        """
        part = getattr(self, name, None)
        if not isinstance(part, keras.layers.Layer):
            raise ValueError(
                f"An `OptimizerGroup` needs a layer or model `self.{name}` for its member "
                f"`{name}`, or your own `variables_of`. Received: self.{name}={part!r}."
            )
        return part.trainable_variables

    def compile(self, optimizer="rmsprop", *args, auto_scale_loss=True, **kwargs):
        if isinstance(optimizer, OptimizerGroup):
            optimizer.attach(self.variables_of)
            if auto_scale_loss and self.dtype_policy.name == "mixed_float16":
                optimizer.scale_losses()
            auto_scale_loss = False  # a wrapped group would hide its members
        super().compile(optimizer, *args, auto_scale_loss=auto_scale_loss, **kwargs)

    def compile_from_config(self, config):
        # Keras leaves this to every model with a `compile` of its own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built and self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force=False):
        # TensorFlow would do it while it traces the step, and trace it twice.
        if self.optimizer is not None and not self.optimizer.built and self.built:
            self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def train_step(self, *arguments):
        def groups():
            optimizer = self.optimizer.variables
            return [*self._weights(), optimizer, self.metrics_variables]

        if not self.built:  # TensorFlow leaves it to the first call, which a step may not make
            self(keras.utils.unpack_x_y_sample_weight(arguments[-1])[0], training=False)
        return run_step(self._with_logs(self.step), arguments, groups)

    def test_step(self, *arguments):
        def groups():
            return [*self._weights(), self.metrics_variables]

        return run_step(self._with_logs(self.measure), arguments, groups)

    def _weights(self):
        return [self.trainable_variables, self.non_trainable_variables]

    def _seeds(self):
        weights = {id(v) for v in self.weights}
        return [v for v in self.variables if id(v) not in weights]

    def _with_logs(self, function):
        @functools.wraps(function)
        def checked(data):
            logs = function(data)
            if not isinstance(logs, dict):
                raise TypeError(
                    f"`{function.__name__}` must return its logs, a dict of name to scalar. "
                    f"Received: {type(logs).__name__}."
                )
            return logs

        return checked

    def _optimizer(self, optimizer):
        optimizer = getattr(self, "optimizer", None) if optimizer is None else optimizer
        if optimizer is None:
            raise ValueError(
                "`compile` the model with an optimizer before it takes a step. "
                "Received: optimizer=None."
            )
        if isinstance(optimizer, OptimizerGroup):
            raise ValueError(
                "`optimizer` must be one member of the OptimizerGroup, such as "
                f"self.optimizer[{next(iter(optimizer.members))!r}]. Received: the group."
            )
        return optimizer


def _scale(optimizer):
    """The factor of the optimizer's loss scaling, or None."""
    scale = optimizer.scale_loss(1.0)
    return None if isinstance(scale, float) and scale == 1.0 else scale


def _widened(x):
    half = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return ops.cast(x, "float32") if half else x


class _RandomStates(keras.losses.Loss):
    """The states of a model's random generators, which Keras does not save with its weights.

    A Loss is the lightest object that Keras saves with the model that holds it. A plain model,
    which does not, passes over what is saved here.
    """

    def __init__(self, find):
        super().__init__()
        self.find = find

    def save_own_variables(self, store):
        for i, variable in enumerate(self.find()):
            store[str(i)] = ops.convert_to_numpy(variable)

    def load_own_variables(self, store):
        variables = self.find()
        if len(store.keys()) == len(variables):  # otherwise saved by a plain model
            for i, variable in enumerate(variables):
                variable.assign(store[str(i)])


def _functional(cls):
    """The class of those instances of `cls` that are made from inputs and outputs.

    Keras instead changes the bases of `cls` and of every class above it for good, after which no
    StepModel could be made in any other way.
    """
    if issubclass(cls, _Functional):
        return cls
    if "_as_functional" not in vars(cls):
        names = {key: getattr(cls, key) for key in ("__module__", "__qualname__", "__doc__")}
        cls._as_functional = type(cls)(cls.__name__, (cls, _Functional), names)
        package, separator, name = keras.saving.get_registered_name(cls).partition(">")
        if separator:  # both are saved under one name, and `cls` is what is loaded
            for one in (cls._as_functional, cls):
                keras.saving.register_keras_serializable(package, name)(one)
    return cls._as_functional
