"""The metrics of a model: means over datapoints, all in one variable.

Each variable that a compiled program writes costs every step and every call of it. With one for
each mean, a step of a tiny model took a third longer.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf


class Mean(keras.metrics.Metric):
    """Mean number k of those in `state`, (2, K): in row 0 the sums, in row 1 the datapoints."""

    def __init__(self, name: str, state: keras.Variable, k: int):
        super().__init__(name=name)
        self.k, self._of_all = k, lambda: state
        if k == 0:
            self._found = state  # by Keras, which must find it once

    @property
    def state(self) -> keras.Variable:
        """The variable that all means share."""
        return self._of_all()

    @property
    def count(self) -> tf.Tensor:
        """The number of datapoints."""
        return tf.convert_to_tensor(self.state)[1, self.k]

    def update_state(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        """As in Keras, for a subclass with a step of its own; values are a scalar, or (n,)."""
        values = tf.cast(values, tf.float32)
        if values.shape.rank > 1:
            raise ValueError(
                f"the metric {self.name} was given values of shape {values.shape}: give a scalar, "
                "or one value per datapoint"
            )
        weights = 1.0 if sample_weight is None else tf.cast(sample_weight, tf.float32)
        weights = tf.broadcast_to(weights, tf.shape(values))
        sums = tf.stack([tf.reduce_sum(values * weights), tf.reduce_sum(weights)])
        self.state.assign_add(tf.where(self._own(), sums[:, None], 0.0))

    def _own(self):
        # For tf.where: 0 times another mean, if that is NaN, would be NaN.
        return tf.range(self.state.shape[1]) == self.k

    def result(self) -> tf.Tensor:
        """As in Keras; 0 before the first datapoint."""
        return tf.math.divide_no_nan(tf.convert_to_tensor(self.state)[0, self.k], self.count)

    def reset_state(self) -> None:
        """As in Keras."""
        self.state.assign(tf.where(self._own(), 0.0, tf.convert_to_tensor(self.state)))


def made(names: Sequence[str]) -> list[Mean]:
    """A mean for each name."""
    zeros = {"initializer": "zeros", "dtype": "float32", "trainable": False}
    of_devices = {"aggregation": "sum", "synchronization": "on_read"}
    state = keras.Variable(shape=(2, len(names)), name="means", **zeros, **of_devices)
    return [Mean(name, state, k) for k, name in enumerate(names)]


def add(means: list[Mean], n: tf.Tensor, values: Sequence[tf.Tensor]) -> None:
    """Add a minibatch of n datapoints: of each mean a scalar, or one value per datapoint."""
    n, sums, counts = tf.cast(n, tf.float32), [], []
    for _, value in zip(means, values, strict=True):
        value = tf.cast(value, tf.float32)
        scalar = value.shape.rank == 0  # a mean over the minibatch; a device's part may be empty
        sums.append(tf.where(n > 0, value * n, 0.0) if scalar else tf.reduce_sum(value))
        counts.append(n if scalar else tf.cast(tf.size(value), tf.float32))
    if means:
        means[0].state.assign_add(tf.stack([sums, counts]))


def reset(means: list[Mean]) -> None:
    """Reset all of them, by one operation: Keras's assign takes ten."""
    if means:
        state = means[0].state
        state.value.assign(np.zeros(state.shape, "float32"), read_value=False)
