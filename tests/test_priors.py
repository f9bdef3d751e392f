"""The prior that is trained along: what its weights make of a layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_keras import layers, priors

LAYERS = {
    "gaussian": lambda: layers.DiagonalGaussian(3),
    "mixture": lambda: layers.GaussianMixture(3, components=2),
    "matrix": lambda: layers.DiagonalGaussian((4, 3)),
    "laplace": lambda: layers.TFPDistribution("Laplace", 3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_it_is_the_layers_distribution_of_its_weights(name):
    layer = LAYERS[name]()
    prior = priors.Learned(layer)
    p, expected = prior.now(), layer.distribution(prior.params.value)
    assert (p.batch_shape, p.event_shape) == ((), layer.event_shape)
    z = p.sample(5, seed=(0, 1))
    np.testing.assert_array_equal(p.log_prob(z), expected.log_prob(z))
    prior.params.assign(prior.params + 0.5)
    moved = layer.distribution(prior.params.value).log_prob(z)
    np.testing.assert_array_equal(prior.now().log_prob(z), moved)
    assert np.abs(moved - p.log_prob(z)).max() > 0.01


def test_its_gradient_is_that_of_maximum_likelihood():
    """d/d mu of the mean log N(z; mu, 1) is the mean of z less mu; d/d log variance likewise."""
    prior = priors.Learned(layers.DiagonalGaussian(2), keras.initializers.Zeros())
    z = np.random.default_rng(0).normal([1.0, -2.0], [0.5, 2.0], (50, 2)).astype("float32")
    with tf.GradientTape() as tape:
        mean = tf.reduce_mean(prior.now().log_prob(z))
    (gradient,) = tape.gradient(mean, prior.trainable_variables)
    expected = np.concatenate([z.mean(0), (np.mean(z**2, 0) - 1) / 2])
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_its_weights_begin_apart_with_a_standard_deviation_of_one_half():
    keras.utils.set_random_seed(0)
    params = priors.Learned(layers.GaussianMixture(10, components=100)).params.numpy()
    assert np.mean(params) == pytest.approx(0, abs=0.05)
    assert np.std(params) == pytest.approx(0.5, rel=0.05)
    ones = priors.Learned(layers.DiagonalGaussian(2), keras.initializers.Ones())
    np.testing.assert_array_equal(ones.params, np.ones(4))


def test_it_survives_its_config():
    prior = priors.Learned(
        layers.GaussianMixture(2, components=3), keras.initializers.Constant(0.3), name="p"
    )
    config = keras.saving.serialize_keras_object(prior)
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, priors.Learned)
    assert again.name == "p"
    assert again.layer.components == 3
    np.testing.assert_array_equal(again.params, prior.params)
