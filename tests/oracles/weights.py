"""Weights of two models side by side, and the precision in which networks are made."""

import contextlib

import keras
import numpy as np


def assert_same(weights, others, atol=0.0):
    """Two lists of weights are equal one by one, to within `atol`."""
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


@contextlib.contextmanager
def precision(policy):
    """What is made in this context has Keras's dtype policy `policy`."""
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")
