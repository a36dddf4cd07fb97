"""Several optimizers as the one optimizer of a model."""

from types import MappingProxyType

import keras


@keras.saving.register_keras_serializable(package="taolu")
class OptimizerGroup(keras.optimizers.Optimizer):
    """Several optimizers as the one optimizer of a model, each for its own part of it.

    A `StepModel` compiled with `OptimizerGroup(critic=..., generator=...)` builds each member for
    the variables of its sub-model of that name (see `StepModel.variables_of`); a step applies
    `self.optimizer["critic"]` as it likes. Members are saved and restored with the model, by name.
    Under `mixed_float16` each member gets its own loss scale.

    Args:
        name: Name of the group.
        members: Optimizers by name, as keywords. A member called `name` is not possible.

    Example:
        >>> group = OptimizerGroup(
        ...     critic=keras.optimizers.Adam(1e-3), generator=keras.optimizers.SGD(0.1)
        ... )
        >>> sorted(group.members), round(float(group["generator"].learning_rate), 6)
        (['critic', 'generator'], 0.1)
    """

    def __init__(self, name="optimizer_group", **members):
        if not members:
            raise ValueError("`members` must name at least one optimizer. Received: none.")
        for key, member in members.items():
            if not isinstance(member, keras.optimizers.Optimizer):
                raise TypeError(f"`{key}` must be a Keras optimizer. Received: {member!r}.")
        super().__init__(learning_rate=0.0, name=name)
        # No dict: Keras would save its values a second time, by their order.
        self.members = MappingProxyType(members)
        self._find = None

    def __getitem__(self, name):
        return self.members[name]

    @property
    def variables(self):
        """Variables of all members."""
        return self._variables + [v for member in self.members.values() for v in member.variables]

    @property
    def iterations(self):
        """Steps of the first member."""
        return next(iter(self.members.values())).iterations

    @property
    def learning_rate(self):
        """There is none: each member has its own."""
        raise AttributeError("An OptimizerGroup has no learning rate; each of its members has one.")

    def attach(self, find):
        """Tells where the variables of each member are, before they exist.

        Args:
            find: Function of a member's name, gives its list of Variables; asked by `build`.
        """
        self._find = find

    def scale_losses(self):
        """Gives each member a loss scale of its own, as float16 needs."""
        wrapper = keras.optimizers.LossScaleOptimizer
        scaled = {
            key: member if isinstance(member, wrapper) else wrapper(member)
            for key, member in self.members.items()
        }
        self.members = MappingProxyType(scaled)

    def build(self, variables):
        """Builds every member for its variables.

        Args:
            variables: Lists of Variables by name of member. A plain list, which Keras passes, is
                divided as `attach` says.

        Raises:
            ValueError: The names are not those of the members, or nobody divides the list.
        """
        if not isinstance(variables, dict):
            if self._find is None:
                raise ValueError(
                    "An OptimizerGroup belongs in `StepModel.compile`, or is built with a dict of "
                    f"variables for {list(self.members)}. Received: one list for all members."
                )
            variables = {key: self._find(key) for key in self.members}
        if set(variables) != set(self.members):
            raise ValueError(
                f"`variables` must have the names of the members, {sorted(self.members)}. "
                f"Received: {sorted(variables)}."
            )
        for key, member in self.members.items():
            if not member.built:
                member.build(list(variables[key]))
        super().build(list({id(v): v for part in variables.values() for v in part}.values()))

    def apply(self, grads, trainable_variables=None):
        """Refused: only members take steps."""
        raise TypeError(
            "An OptimizerGroup takes no step itself: apply a member, such as "
            f"group[{next(iter(self.members))!r}]. Received: {len(grads)} gradients."
        )

    def finalize_variable_values(self, var_list):
        """Lets each member finish its own variables."""
        del var_list  # each member knows its own
        for member in self.members.values():
            member.finalize_variable_values(member._trainable_variables)

    def save_own_variables(self, store):
        """Writes the variables of every member, in order."""
        for key, member in self.members.items():
            for i, variable in enumerate(member.variables):
                store[f"{key}.{i}"] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store):
        """Reads what `save_own_variables` wrote; the members must be the same."""
        places = {
            f"{key}.{i}": variable
            for key, member in self.members.items()
            for i, variable in enumerate(member.variables)
        }
        if set(store.keys()) != set(places):
            raise ValueError(
                f"The saved optimizer group must have the members {sorted(self.members)}, built "
                f"for the same variables. Received: {len(store.keys())} values for "
                f"{len(places)} variables."
            )
        for place, variable in places.items():
            variable.assign(store[place])

    def get_config(self):
        members = {
            key: keras.saving.serialize_keras_object(member) for key, member in self.members.items()
        }
        return {"name": self.name, "members": members}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        members = {
            key: keras.saving.deserialize_keras_object(member, custom_objects=custom_objects)
            for key, member in config["members"].items()
        }
        return cls(name=config["name"], **members)
