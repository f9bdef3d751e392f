"""Uniform numbers by Philox, vectorised where XLA would compile TensorFlow's to scalar code."""

import contextlib
import contextvars
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from vae_keras.typing import Seed

SCRAMBLE = np.array([0x3EC8F720, 0x02461E29], np.uint32)  # TensorFlow's key for seeds
_vectors = contextvars.ContextVar("vectors", default=False)


@contextlib.contextmanager
def vectorised(yes: bool) -> Iterator[None]:
    """A context in which traced code draws vectorised `uniform` numbers, if `yes`: XLA on a CPU."""
    before = _vectors.set(yes)
    try:
        yield
    finally:
        _vectors.reset(before)


def uniform(shape: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Uniform float32 numbers in [0, 1), of `shape`, bit-identical to TensorFlow's by Philox.

    XLA compiles TensorFlow's own to scalar code on a CPU. Within `vectorised`, and if `shape` is
    known when tracing, each number is computed separately, though a run of Philox gives four:
    vectorised, four times the arithmetic takes a quarter of the time.
    """
    static = tf.get_static_value(shape)
    if not _vectors.get() or static is None:
        return tf.random.stateless_uniform(shape, seed, alg="philox")
    first, second = (_halves(tf.cast(seed[k], tf.uint64)) for k in (0, 1))
    scrambled = _words(first, second, SCRAMBLE)
    place = tf.range(np.prod(static, dtype=np.int64))
    counter = _halves(tf.cast(place // 4, tf.uint64))
    words = _words(counter, scrambled[2:], scrambled[:2])
    bits = words[3]
    for k in range(3):
        bits = tf.where(place % 4 == k, words[k], bits)
    mantissa = tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32))
    one = tf.constant(0x3F800000, tf.uint32)  # the bits of 1.0
    return tf.reshape(tf.bitcast(tf.bitwise.bitwise_or(mantissa, one), tf.float32) - 1, static)


def _words(low, high, key):
    """Philox 4x32 with 10 rounds (Salmon et al. 2011): four words, from arguments of two each."""
    (x0, x1), (x2, x3), (k0, k1) = low, high, key
    for _ in range(10):
        low0, high0 = _halves(tf.cast(x0, tf.uint64) * 0xD2511F53)
        low1, high1 = _halves(tf.cast(x2, tf.uint64) * 0xCD9E8D57)
        x0, x1 = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(high1, x1), k0), low1
        x2, x3 = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(high0, x3), k1), low0
        k0, k1 = k0 + tf.constant(0x9E3779B9, tf.uint32), k1 + tf.constant(0xBB67AE85, tf.uint32)
    return x0, x1, x2, x3


def _halves(x):
    """The low and the high word of 64 bits."""
    high = tf.bitwise.right_shift(x, tf.constant(32, tf.uint64))
    return tf.cast(x, tf.uint32), tf.cast(high, tf.uint32)
