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
        self.state, self.k = state, k

    @property
    def count(self) -> tf.Tensor:
        """The number of datapoints."""
        return tf.convert_to_tensor(self.state)[1, self.k]

    def update_state(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        """As in Keras, for a subclass with a step of its own."""
        values = tf.cast(values, tf.float32)
        weights = 1.0 if sample_weight is None else tf.cast(sample_weight, tf.float32)
        weights = tf.broadcast_to(weights, tf.shape(values))
        sums = tf.stack([tf.reduce_sum(values * weights), tf.reduce_sum(weights)])
        self.state.assign_add(sums[:, None] * tf.one_hot(self.k, self.state.shape[1]))

    def result(self) -> tf.Tensor:
        """As in Keras; 0 before the first datapoint."""
        return tf.math.divide_no_nan(tf.convert_to_tensor(self.state)[0, self.k], self.count)

    def reset_state(self) -> None:
        """As in Keras."""
        others = 1.0 - tf.one_hot(self.k, self.state.shape[1])
        self.state.assign(tf.convert_to_tensor(self.state) * others)


def made(names: Sequence[str]) -> list[Mean]:
    """A mean for each name."""
    zeros = {"initializer": "zeros", "dtype": "float32", "trainable": False}
    of_devices = {"aggregation": "sum", "synchronization": "on_read"}
    state = keras.Variable(shape=(2, len(names)), name="means", **zeros, **of_devices)
    return [Mean(name, state, k) for k, name in enumerate(names)]


def add(means: list[Mean], n: tf.Tensor, values: Sequence[tf.Tensor]) -> None:
    """Add a minibatch of n datapoints: of each mean a scalar, or (n,) values."""
    n = tf.cast(n, tf.float32)
    sums = []
    for _, value in zip(means, values, strict=True):
        value = tf.cast(value, tf.float32)
        # A scalar is a mean over the minibatch; a device's part may be empty.
        sums.append(tf.reduce_sum(value) if value.shape.rank else tf.where(n > 0, value * n, 0.0))
    means[0].state.assign_add(tf.stack([sums, [n] * len(means)]))


def reset(means: list[Mean]) -> None:
    """Reset all of them, by one operation: Keras's assign takes ten."""
    state = means[0].state
    state.value.assign(np.zeros(state.shape, "float32"), read_value=False)
