"""Streams of minibatches, each checked on its way to the model.

Nothing is read ahead of training: a stream may count, reshuffle or be readable only once.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_keras import _checks
from vae_keras.typing import Shape


class Refused(ValueError):
    """A minibatch of a `tf.data` stream failed a check."""


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """A context that turns TensorFlow's error for a `Refused` into a ValueError."""
    try:
        yield
    except tf.errors.OpError as error:
        if found := re.search(r"Refused: (.*)", str(error)):
            raise ValueError(found[1]) from None
        raise


def checked_dataset(
    dataset: tf.data.Dataset, check: Callable, event_shape: Shape, parts: int = 1
) -> tf.data.Dataset:
    """The same minibatches of x, (x,), (x, y) or more, after `check` of the first `parts` parts.

    `check` must refuse x of a shape other than (M, *event_shape).
    """
    spec = dataset.element_spec
    if dataset.cardinality() == 0:
        raise ValueError(_checks.EMPTY)

    def look(*seen):
        try:
            check(*seen)
        except ValueError as error:
            raise Refused(str(error)) from error
        return np.int32(0)

    def checked(*batch):
        with tf.control_dependencies([tf.numpy_function(look, batch[:parts], tf.int32)]):
            x = tf.ensure_shape(batch[0], (None, *event_shape))
        return (x, *batch[1:]) if isinstance(spec, tuple) else x

    return dataset.map(checked)


class CheckedPyDataset(keras.utils.PyDataset):
    """The same minibatches as `data`, each checked by `check` first."""

    def __init__(self, data: keras.utils.PyDataset, check: Callable):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self.data, self.check, self._begun = data, check, False
        if not len(data):
            raise ValueError(_checks.EMPTY)

    def __getitem__(self, index):
        batch = self.data[index]
        self.check(batch)
        return batch

    @property
    def num_batches(self):
        """As in Keras: None for an endless data set."""
        return self.data.num_batches

    def __len__(self):
        return len(self.data)

    def on_epoch_begin(self):
        """Call the method of `data`."""
        self._begun = True
        self.data.on_epoch_begin()

    def on_epoch_end(self):
        """Call the method of `data`, at the end of epochs that have begun.

        Keras also calls this once before the first, which it would count as one.
        """
        if self._begun:
            self.data.on_epoch_end()


def checked_generator(data: Iterator, check: Callable) -> Iterator:
    """The same minibatches as `data` yields, each checked by `check` first.

    The first is read and checked at once, as Keras does, and is still yielded first.
    """
    first = next(data, None)
    if first is None:
        raise ValueError(_checks.EMPTY)
    check(first)

    def checked():  # Keras wants tuples
        yield first if isinstance(first, tuple) else (first,)
        for batch in data:
            check(batch)
            yield batch if isinstance(batch, tuple) else (batch,)

    return checked()


def minibatches(x: Any, size: int) -> Iterator:
    """The x of an array, `size` rows at a time, or of a stream, at most `size` at a time."""
    if hasattr(x, "shape"):
        yield from (x[i : i + size] for i in range(0, len(x), size))
        return
    batches = (x[i] for i in range(len(x))) if isinstance(x, keras.utils.PyDataset) else x
    for batch in batches:
        one = keras.utils.unpack_x_y_sample_weight(batch)[0]
        yield from minibatches(one, size)
