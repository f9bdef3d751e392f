"""Seeds: each non-negative integer has its own stream of noise."""

import numpy as np
import tensorflow as tf

from vae_keras import _checks
from vae_keras.typing import Seed


def words(seed: int, branch: int = 0) -> tuple[int, int]:
    """The TFP seed at the start of the stream of `seed`: two int32 words; draws count the second.

    Seeds below 2^31 give (seed, 0). Larger seeds, and further branches of any seed, have a negative
    first word, so they differ from those. A 63-bit hash keeps them apart from each other.

    Raises ValueError for a seed that is negative or not an integer.
    """
    number = _checks.count("the seed", seed, 0)
    if branch == 0 and number < 2**31:
        return number, 0
    first, second = np.random.SeedSequence(number, spawn_key=(branch,)).generate_state(2)
    return -1 - int(first >> 1), int(second) - 2**31


def at(seed: int, n: int | tf.Tensor, branch: int = 0) -> Seed:
    """The TFP seed, (2,), of draw `n` of the stream of `seed`; n, also a tensor, is at least 0.

    A stream, or a branch of one, repeats after 2^32 draws. Raises ValueError as `words` does.
    """
    first, second = words(seed, branch)
    second = tf.cast(second + tf.cast(n, tf.int64), tf.int32)  # 2^31 wraps to -2^31
    return tf.stack([tf.constant(first, tf.int32), second])
