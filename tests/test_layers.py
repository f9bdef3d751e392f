"""The distribution layers alone: in every kind of Keras model, saved, fitted, against TFP."""

import re

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from oracles.weights import precision

from vae_keras import layers
from vae_keras.layers import (
    Bernoulli,
    DiagonalGaussian,
    GaussianMixture,
    NegativeLogLikelihood,
    TFPDistribution,
)

tfd = tfp.distributions
LAYERS = {
    "diagonal": lambda: DiagonalGaussian(3),
    "sigmoid": lambda: layers.SigmoidMeanGaussian(3),
    "bernoulli": lambda: Bernoulli(3),
    "image": lambda: Bernoulli((4, 3)),
    "laplace": lambda: TFPDistribution("Laplace", 3),
    "student": lambda: TFPDistribution(tfd.StudentT, 3, fixed={"df": 4.0}),
    "gamma": lambda: TFPDistribution("Gamma", 3),
    "dirichlet": lambda: TFPDistribution("Dirichlet", 3),
    "full": lambda: TFPDistribution("MultivariateNormalTriL", 3),
    "scales": lambda: TFPDistribution("Normal", 3, fixed={"scale": np.array([0.1, 2, 3])}),
    "whole": lambda: TFPDistribution("Normal", 3, fixed={"scale": np.arange(1, 4)}),
    "row": lambda: TFPDistribution("Normal", (4, 3), fixed={"loc": np.ones((4, 1))}),
    "tensor": lambda: TFPDistribution("Normal", 3, fixed={"loc": tf.constant([1, 2, 0.1])}),
    "list": lambda: TFPDistribution("Laplace", 3, fixed={"scale": [0.1, 0.2, 0.3]}),
    "number": lambda: TFPDistribution("Normal", 3, fixed={"scale": np.float64(0.1)}),
    "scalar": lambda: TFPDistribution("Normal", 3, fixed={"scale": np.array(0.1)}),
    "scalar tensor": lambda: TFPDistribution("StudentT", 3, fixed={"df": tf.constant(4)}),
    "centred": lambda: TFPDistribution("MultivariateNormalTriL", 3, fixed={"loc": np.ones(3)}),
    # families whose parameters need a map of their own
    "binomial": lambda: TFPDistribution("Binomial", 3, fixed={"total_count": 4.0}),
    "beta binomial": lambda: TFPDistribution("BetaBinomial", 3, fixed={"total_count": 4.0}),
    "multinomial": lambda: TFPDistribution("Multinomial", 3, fixed={"total_count": 4.0}),
    "dirichlet multinomial": lambda: TFPDistribution(
        "DirichletMultinomial", 3, fixed={"total_count": 4.0}
    ),
    "von mises fisher": lambda: TFPDistribution("VonMisesFisher", 3),
    "power spherical": lambda: TFPDistribution("PowerSpherical", (2, 3)),
}


def params_for(layer, n=5):
    shape = (n, *layer.event_shape[:-1], layer.params_size)
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_alone_gives_a_distribution_over_its_event_shape(name):
    layer = LAYERS[name]()
    q = layer(params_for(layer))
    assert isinstance(q, tfd.Distribution)
    assert (tuple(q.batch_shape), tuple(q.event_shape)) == ((5,), layer.event_shape)
    draws = q.sample(7, seed=0)
    assert q.log_prob(draws).shape == (7, 5)
    assert np.all(np.isfinite(q.log_prob(draws)))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_survives_its_config_and_a_saved_model(name, tmp_path):
    layer = LAYERS[name]()
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


@pytest.mark.parametrize(
    "layer", [DiagonalGaussian(1), Bernoulli(1), TFPDistribution("Poisson", 1)]
)
def test_targets_may_lack_their_last_axis_as_in_keras(layer):
    """Broadcast against (N, 1) they would be N times N."""
    rng = np.random.default_rng(0)
    p = layer(tf.constant(rng.normal(size=(6, layer.params_size)), tf.float32))
    y = rng.integers(0, 2, (6, 1)).astype("float32")
    expected = -p.log_prob(y).numpy()
    loss = NegativeLogLikelihood()
    for targets in (y, y[:, 0], y[..., None]):
        assert float(loss(targets, p)) == pytest.approx(expected.mean(), rel=1e-6)
    weights = rng.uniform(size=6).astype("float32")
    for w in (weights, weights[:, None]):
        found = float(loss(y[:, 0], p, sample_weight=w))
        assert found == pytest.approx(np.mean(weights * expected), rel=1e-6)
    assert float(NegativeLogLikelihood(reduction="sum")(y, p)) == pytest.approx(expected.sum())
    np.testing.assert_allclose(NegativeLogLikelihood(reduction=None)(y[:, 0], p), expected)
    for bad in (np.ones((6, 3)), np.ones((6, 1, 2)), np.ones(())):
        with pytest.raises(ValueError, match="the targets are of shape"):
            loss(bad.astype("float32"), p)


def test_targets_of_sequences_may_lack_their_last_axis():
    p = DiagonalGaussian(1)(tf.zeros((5, 3, 2)))
    y = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    expected = -tfd.Normal(0.0, 1.0).log_prob(y).numpy()
    assert float(NegativeLogLikelihood()(y, p)) == pytest.approx(expected.mean(), rel=1e-6)
    assert float(NegativeLogLikelihood()(y[..., None], p)) == pytest.approx(expected.mean())


def test_a_distribution_used_as_a_tensor_is_its_mean():
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    inputs = keras.Input((3,))
    one = DiagonalGaussian(1, name="one")(keras.layers.Dense(2)(inputs))
    two = DiagonalGaussian(2, name="two")(keras.layers.Dense(4)(inputs))
    model = keras.Model(inputs, [one, two])
    model.compile("adam", loss=[NegativeLogLikelihood(), NegativeLogLikelihood()])
    losses = model.evaluate(x, [x[:, 0], x[:, :2]], return_dict=True, verbose=0)
    expected = [-q.log_prob(y) for q, y in zip(model(x), (x[:, :1], x[:, :2]), strict=True)]
    assert losses["loss"] == pytest.approx(sum(float(e.numpy().mean()) for e in expected), rel=1e-5)
    after = keras.layers.Dense(1)
    model = keras.Model(inputs, after(two))
    q = keras.Model(inputs, two)(x)
    np.testing.assert_allclose(model.predict(x, verbose=0), after(q.mean()), rtol=1e-5)


def test_how_many_parameters_each_number_takes():
    sizes = {
        "binomial": 3, "beta binomial": 6, "multinomial": 3, "dirichlet multinomial": 3,
        "von mises fisher": 4, "power spherical": 4,
    }  # fmt: skip
    assert {name: LAYERS[name]().params_size for name in sizes} == sizes


@pytest.mark.parametrize("name", ["von mises fisher", "power spherical"])
def test_a_mean_direction_has_length_1_whatever_the_parameters(name):
    layer = LAYERS[name]()
    params = params_for(layer)
    p = layer(params)
    one = p.distribution if len(layer.event_shape) > 1 else p
    np.testing.assert_allclose(tf.norm(one.mean_direction, axis=-1), 1, rtol=1e-6)
    assert np.all(np.isfinite(layer(np.zeros_like(params)).log_prob(p.sample(seed=(0, 1)))))


def test_sizes_may_be_numpys():
    layer = GaussianMixture(np.int64(2), np.int32(3))
    assert layer.params_size == 15
    assert isinstance(layer.get_config()["components"], int)


def test_parameters_stay_in_float32_under_mixed_precision():
    with precision("mixed_float16"):
        layer = layers.Bernoulli(3)
    assert layer(tf.zeros((2, 3), tf.float16)).log_prob(tf.ones((2, 3))).dtype == tf.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiagonalGaussian(0), "at least 1"),
        (lambda: DiagonalGaussian(-2), "at least 1"),
        (lambda: DiagonalGaussian((3, 0)), "at least 1"),
        (lambda: DiagonalGaussian(()), "must have at least one size:"),
        (lambda: DiagonalGaussian(2.5), r"size of event_shape is 2\.5, but must be an integer"),
        (lambda: DiagonalGaussian(3)(tf.zeros((2, 5))), r"Dense\(6\)"),
        (lambda: DiagonalGaussian(3)(keras.Input((5,))), r"Dense\(6\)"),
        (lambda: GaussianMixture(2, 0), "components is 0, but must be an integer of at least 1"),
        (
            lambda: layers.Blockwise([Bernoulli((2, 2))]),
            "one distribution layer or more, each over a vector",
        ),
        (lambda: TFPDistribution("Gaussian", 3), "unknown family 'Gaussian'"),
        (
            lambda: TFPDistribution("StudentT", 3, fixed={"dof": 3.0}),
            "has no parameter dof: it has",
        ),
        (lambda: TFPDistribution("Binomial", 3), "Binomial needs total_count in fixed"),
        (lambda: TFPDistribution("Multinomial", 3), "Multinomial needs total_count in fixed"),
        (
            lambda: TFPDistribution("Categorical", 3),
            "not determine the number of logits of a Categorical",
        ),
        (  # log_rate is learned
            lambda: TFPDistribution("Gamma", 3, fixed={"rate": 2.0}),
            r"cannot have a fixed rate .* Exactly one of",
        ),
        (
            lambda: NegativeLogLikelihood()(tf.zeros((2, 1)), tf.zeros((2, 1))),
            "needs a distribution",
        ),
    ],
)
def test_what_makes_no_distribution_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


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


def softplus(a):
    return np.log1p(np.exp(a))


def test_the_parameters_of_a_mixture_are_logits_means_and_log_variances():
    layer = layers.GaussianMixture(2, components=3)
    params = params_for(layer)
    logits, mu, log_variance = np.split(params.astype("float64"), [3, 9], axis=1)
    mu, sigma = mu.reshape(5, 3, 2), np.exp(log_variance.reshape(5, 3, 2) / 2)
    z = np.random.default_rng(1).normal(size=(5, 2))
    of_parts = scipy.stats.norm(mu, sigma).logpdf(z[:, None]).sum(-1)
    weights = logits - scipy.special.logsumexp(logits, axis=1, keepdims=True)
    expected = scipy.special.logsumexp(weights + of_parts, axis=1)
    np.testing.assert_allclose(layer(params).log_prob(z.astype("float32")), expected, rtol=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (again.event_shape, again.components, again.params_size) == ((2,), 3, 15)


def test_the_parameters_of_blocks_come_one_block_after_the_other():
    parts = [layers.Bernoulli(2), layers.DiagonalGaussian(3), layers.TFPDistribution("Poisson", 1)]
    layer = layers.Blockwise(parts)
    params = params_for(layer)
    assert (layer.params_size, layer.event_shape) == (2 + 6 + 1, (6,))
    x = np.array([[0, 1, 0.3, -2.0, 1.0, 4]] * 5, "float32")
    by_hand = sum(
        part(params[:, a:b]).log_prob(x[:, c:d])
        for part, a, b, c, d in zip(parts, (0, 2, 8), (2, 8, 9), (0, 2, 5), (2, 5, 6), strict=True)
    )
    np.testing.assert_allclose(layer(params).log_prob(x), by_hand, rtol=1e-6)


def test_ends_lie_beyond_one_another_whatever_the_parameters():
    """`high` above `low` by a softplus, a peak between them by a sigmoid."""
    params = np.array([[-1.0, -3.0, 2.0], [4.0, 2.0, -1.0]], "float32")
    low, above, between = params.astype("float64").T
    uniform = layers.TFPDistribution("Uniform", 1)(params[:, :2]).distribution
    np.testing.assert_allclose(uniform.low[:, 0], low, rtol=1e-6)
    np.testing.assert_allclose(uniform.high[:, 0], low + softplus(above), rtol=1e-6)
    triangular = layers.TFPDistribution("Triangular", 1)(params).distribution
    peak = low + softplus(above) / (1 + np.exp(-between))
    np.testing.assert_allclose(triangular.high[:, 0], low + softplus(above), rtol=1e-6)
    np.testing.assert_allclose(triangular.peak[:, 0], peak, rtol=1e-6)
    reciprocal = layers.TFPDistribution("Reciprocal", 1)(params[:, :2]).distribution
    np.testing.assert_allclose(reciprocal.low[:, 0], softplus(low), rtol=1e-5)
    np.testing.assert_allclose(reciprocal.high[:, 0], softplus(low) + softplus(above), rtol=1e-5)


def test_what_is_learned_is_all_that_is_not_fixed():
    student = layers.TFPDistribution("StudentT", 3, fixed={"df": 4.0})
    assert student.params_size == 6
    params = params_for(student)
    q = student(params).distribution
    np.testing.assert_array_equal(q.loc, params[:, :3])
    np.testing.assert_allclose(q.scale, softplus(params[:, 3:].astype("float64")), rtol=1e-4)
    assert np.all(np.asarray(q.df) == 4)
    assert layers.TFPDistribution("MultivariateNormalTriL", 3).params_size == 3 + 6
    assert layers.TFPDistribution("Normal", (4, 3)).params_size == 6
    assert layers.TFPDistribution(tfd.Laplace, 2).family is tfd.Laplace
