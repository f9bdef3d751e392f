"""Orders of an array's rows, which depend only on a seed and the number of rows visited before."""

import tensorflow as tf

from vae_keras import _noise
from vae_keras.typing import Rows

ENDLESS = ("replacement", "passes")  # orders that have no epochs


def check(shuffle: bool | str, of_array: bool) -> None:
    """Raise ValueError for an unknown order, and for one that needs an array."""
    if shuffle not in (True, False, *ENDLESS):
        raise ValueError(f"unknown shuffle {shuffle!r}: True, False or one of {', '.join(ENDLESS)}")
    if shuffle in ENDLESS and not of_array:
        raise ValueError(f"shuffle={shuffle!r} orders the rows of an array: give an array")


def rows(seed: int, before: int | tf.Tensor, n: int, length: int, shuffle: bool | str) -> Rows:
    """The next `length` of n rows, int32, after `before` examples; `shuffle` as in `Trainer.fit`.

    Endless orders are the same however they are divided into calls. Otherwise an epoch begins, of
    at most n rows.
    """
    first, second = _noise.words(seed)
    of_seed = first if second == 0 else (first << 32) + second
    return _rows(*(tf.cast(k, tf.int64) for k in (of_seed, before, n, length)), shuffle)


@tf.function(autograph=False)  # traced once for all models, since tracing is slow
def _rows(seed, before, n, length, shuffle):
    def one_pass(begin):
        # Negative numbers: noise draws count up from 0.
        words = tf.stack([seed, -1 - begin])
        if shuffle == "replacement":
            return tf.random.stateless_uniform([n], words, 0, n, tf.int64, alg="philox")
        numbers = tf.range(n)
        return tf.random.experimental.stateless_shuffle(numbers, words) if shuffle else numbers

    if shuffle not in ENDLESS:
        return tf.cast(one_pass(before)[:length], tf.int32)
    passes = tf.range(before // n, (before + length - 1) // n + 1)
    found = tf.map_fn(lambda k: one_pass(k * n), passes)
    return tf.cast(tf.reshape(found, [-1])[before % n :][:length], tf.int32)
