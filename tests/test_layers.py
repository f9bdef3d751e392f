"""The distribution layers alone: in every kind of Keras model, saved, fitted, against TFP."""

import re

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from vae_keras import layers
from vae_keras.layers import NegativeLogLikelihood

tfd = tfp.distributions
LAYERS = {
    "diagonal": (layers.DiagonalGaussian, (3,), {}),
    "sigmoid": (layers.SigmoidMeanGaussian, (3,), {}),
    "bernoulli": (layers.Bernoulli, (3,), {}),
    "image": (layers.Bernoulli, ((4, 3),), {}),
    "laplace": (layers.TFPDistribution, ("Laplace", 3), {}),
    "student": (layers.TFPDistribution, (tfd.StudentT, 3), {"fixed": {"df": 4.0}}),
    "gamma": (layers.TFPDistribution, ("Gamma", 3), {}),
    "dirichlet": (layers.TFPDistribution, ("Dirichlet", 3), {}),
    "full": (layers.TFPDistribution, ("MultivariateNormalTriL", 3), {}),
    "scales": (layers.TFPDistribution, ("Normal", 3), {"fixed": {"scale": np.array([0.1, 2, 3])}}),
    "whole": (layers.TFPDistribution, ("Normal", 3), {"fixed": {"scale": np.arange(1, 4)}}),
    "row": (layers.TFPDistribution, ("Normal", (4, 3)), {"fixed": {"loc": np.ones((4, 1))}}),
    "tensor": (layers.TFPDistribution, ("Normal", 3), {"fixed": {"loc": tf.constant([1, 2, 0.1])}}),
    "list": (layers.TFPDistribution, ("Laplace", 3), {"fixed": {"scale": [0.1, 0.2, 0.3]}}),
    "number": (layers.TFPDistribution, ("Normal", 3), {"fixed": {"scale": np.float64(0.1)}}),
    "scalar": (layers.TFPDistribution, ("Normal", 3), {"fixed": {"scale": np.array(0.1)}}),
    "scalar tensor": (layers.TFPDistribution, ("StudentT", 3), {"fixed": {"df": tf.constant(4)}}),
    "centred": (
        layers.TFPDistribution,
        ("MultivariateNormalTriL", 3),
        {"fixed": {"loc": np.array([0.1, 2, 3])}},
    ),
}


def make(name):
    cls, arguments, kwargs = LAYERS[name]
    return cls(*arguments, **kwargs)


def params_for(layer, n=5):
    shape = (n, *layer.event_shape[:-1], layer.params_size)
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_alone_gives_a_distribution_over_its_event_shape(name):
    layer = make(name)
    q = layer(params_for(layer))
    assert isinstance(q, tfd.Distribution)
    assert (tuple(q.batch_shape), tuple(q.event_shape)) == ((5,), layer.event_shape)
    draws = q.sample(7, seed=0)
    assert q.log_prob(draws).shape == (7, 5)
    assert np.all(np.isfinite(q.log_prob(draws)))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_survives_its_config_and_a_saved_model(name, tmp_path):
    layer = make(name)
    params = params_for(layer)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    value = layer(params).sample(seed=1)
    assert value.dtype == again(params).dtype == tf.float32
    np.testing.assert_array_equal(again(params).log_prob(value), layer(params).log_prob(value))
    inputs = keras.Input(params.shape[1:])
    model = keras.Model(inputs, layer(keras.layers.Dense(params.shape[-1])(inputs)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(params).log_prob(value), model(params).log_prob(value))


def test_densities_equal_scipy():
    params = params_for(layers.DiagonalGaussian(3))
    mean, sigma = params[:, :3], np.exp(params[:, 3:] / 2)
    x = np.random.default_rng(1).uniform(size=(5, 3))
    for layer, loc in (
        (layers.DiagonalGaussian(3), mean),
        (layers.SigmoidMeanGaussian(3), 1 / (1 + np.exp(-mean))),
    ):
        expected = scipy.stats.norm(loc, sigma).logpdf(x).sum(-1)
        np.testing.assert_allclose(layer(params).log_prob(x), expected, rtol=1e-5)
    p = 1 / (1 + np.exp(-mean))  # grey pixels: the sum over pixels of a cross-entropy in nats
    expected = (x * np.log(p) + (1 - x) * np.log(1 - p)).sum(-1)
    np.testing.assert_allclose(layers.Bernoulli(3)(mean).log_prob(x), expected, rtol=1e-5)


def test_a_plain_keras_model_fits_by_negative_log_likelihood():
    """Heteroscedastic regression with a known answer: y ~ N(2 x, exp(x)^2)."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (4000, 1)).astype("float32")
    y = (2 * x + np.exp(x) * rng.normal(size=x.shape)).astype("float32")
    keras.utils.set_random_seed(0)
    head = layers.DiagonalGaussian(1)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2), head])
    model.compile(keras.optimizers.Adam(0.02), loss=NegativeLogLikelihood())
    model.fit(x, y, epochs=30, batch_size=100, verbose=0)
    np.testing.assert_allclose(model.layers[0].get_weights()[0], [[2, 2]], atol=0.15)
    exact = -scipy.stats.norm(2 * x, np.exp(x)).logpdf(y).mean()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(exact, abs=0.02)


def test_negative_log_likelihood_takes_sample_weights():
    q, y = layers.Bernoulli(2)(tf.constant([[0.5, -1.0], [2.0, 0.0]])), tf.ones((2, 2))
    expected = -np.mean([2.0, 0.0] * q.log_prob(y).numpy())
    assert float(NegativeLogLikelihood()(y, q, [2.0, 0.0])) == pytest.approx(expected)


def test_parameters_stay_in_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = layers.Bernoulli(3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert layer(tf.zeros((2, 3), tf.float16)).log_prob(tf.ones((2, 3))).dtype == tf.float32


@pytest.mark.parametrize("size", [0, -2, (3, 0), ()])
def test_an_event_shape_below_one_is_refused(size):
    with pytest.raises(ValueError, match="at least 1"):
        layers.DiagonalGaussian(size)


def test_the_wrong_number_of_parameters_is_refused_with_the_right_one():
    with pytest.raises(ValueError, match=r"Dense\(6\)"):
        layers.DiagonalGaussian(3)(tf.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"Dense\(6\)"):
        layers.DiagonalGaussian(3)(keras.Input((5,)))


def test_an_unknown_family_or_parameter_is_refused():
    with pytest.raises(ValueError, match="unknown family 'Gaussian'"):
        layers.TFPDistribution("Gaussian", 3)
    with pytest.raises(ValueError, match="has no parameter dof: it has"):
        layers.TFPDistribution("StudentT", 3, fixed={"dof": 3.0})


@pytest.mark.parametrize(
    "value",
    [None, "wide", tfd.Normal(0.0, 1.0), [[1.0], [2.0, 3.0]], tf.Variable(1.0), keras.Input((3,))],
)
def test_a_fixed_value_that_cannot_be_saved_is_refused_at_once(value):
    with pytest.raises(ValueError, match=r"Normal: the fixed scale is .* must be a number or an"):
        layers.TFPDistribution("Normal", 3, fixed={"scale": value})


@pytest.mark.parametrize("shape", [(4,), (5, 3), (5, 1)])
def test_a_fixed_array_that_does_not_fit_the_event_is_refused_at_once(shape):
    message = re.escape(f"of shape (3,) cannot have a fixed scale of shape {shape}: ")
    with pytest.raises(ValueError, match=message):
        layers.TFPDistribution("Normal", 3, fixed={"scale": np.ones(shape)})
    with pytest.raises(ValueError, match=r"cannot have a fixed rate .* Exactly one of"):
        layers.TFPDistribution("Gamma", 3, fixed={"rate": 2.0})  # log_rate is learned


def test_arrays_that_earlier_versions_saved_can_be_loaded():
    scale = {"class_name": "__numpy__", "config": {"value": [1.0, 2.0, 3.0], "dtype": "float64"}}
    config = {"family": "Normal", "event_shape": (3,), "fixed": {"scale": scale}}
    q = layers.TFPDistribution.from_config(config)(tf.zeros((2, 3)))
    np.testing.assert_array_equal(q.stddev(), [[1, 2, 3]] * 2)


def test_blockwise_joins_vectors():
    with pytest.raises(ValueError, match="one distribution layer or more, each over a vector"):
        layers.Blockwise([layers.Bernoulli((2, 2))])


def test_a_mixture_needs_a_component():
    with pytest.raises(ValueError, match=r"GaussianMixture\(2, 0\)"):
        layers.GaussianMixture(2, 0)
