"""Uniform numbers by vectors against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from vae_keras import _philox


@pytest.mark.parametrize("shape", [(), (1,), (7,), (0, 3), (5, 3), (2, 100, 784)])
@pytest.mark.parametrize("seed", [(0, 0), (7, 3), (-3, 2**31 - 1)])
def test_uniform_numbers_by_vectors_are_tensorflows_to_the_last_bit(shape, seed):
    seed = tf.constant(seed)

    @tf.function(jit_compile=True)
    def both():
        with _philox.vectorised(True):
            ours = _philox.uniform(tf.constant(shape, tf.int32), seed)
        return ours, tf.random.stateless_uniform(shape, seed, alg="philox")

    ours, theirs = both()
    assert ours.shape == shape
    np.testing.assert_array_equal(ours, theirs)


def by_tensorflow(program):
    """Whether TensorFlow's own kernel makes the numbers in the graph of `program`."""
    graph = program.get_concrete_function(tf.zeros([2, 3])).graph
    return any("StatelessRandomUniform" in operation.type for operation in graph.get_operations())


def test_numbers_are_tensorflows_own_outside_and_where_the_shape_is_not_known():
    def draw(x):
        return _philox.uniform(tf.shape(x), tf.constant([0, 1]))

    with _philox.vectorised(True):
        assert not by_tensorflow(tf.function(draw))
        with _philox.vectorised(False):
            assert by_tensorflow(tf.function(draw))
        assert not by_tensorflow(tf.function(draw))
        unknown = tf.function(draw, input_signature=[tf.TensorSpec([None, 3])])
        assert by_tensorflow(unknown)
    assert by_tensorflow(tf.function(draw))
