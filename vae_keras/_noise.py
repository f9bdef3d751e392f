"""Seeds: any non-negative integer names a stream of noise of its own."""

import operator

import numpy as np
import tensorflow as tf

from vae_keras.typing import Seed


def words(seed: int, branch: int = 0) -> tuple[int, int]:
    """Where the stream of `seed` begins, a TFP seed: two int32 words, to whose second one counts.

    Below 2^31 these are (seed, 0). Larger seeds, and the further branches of any, have a negative
    first word, and so meet none of those; among themselves 63 bits of a hash keep them apart.

    Raises ValueError for a seed that is negative or no integer.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"the seed is {seed!r}, but must be an integer of at least 0")
    if branch == 0 and number < 2**31:
        return number, 0
    first, second = np.random.SeedSequence(number, spawn_key=(branch,)).generate_state(2)
    return -1 - int(first >> 1), int(second) - 2**31


def at(seed: int, n: int | tf.Tensor, branch: int = 0) -> Seed:
    """The TFP seed, (2,), of draw `n` of the stream of `seed`; n, also a tensor, is at least 0.

    A stream, or branch of one, comes round after 2^32 draws. Raises ValueError as `words` does.
    """
    first, second = words(seed, branch)
    second = tf.cast(second + tf.cast(n, tf.int64), tf.int32)  # 2^31 goes on with -2^31
    return tf.stack([tf.constant(first, tf.int32), second])
