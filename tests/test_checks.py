"""What is checked before work begins: which supports, which data, which rows are refused."""

import re
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from vae_keras import VAE, WakeSleep, _checks, _supports, families, networks
from vae_keras.layers import TFPDistribution

tfb, tfd = tfp.bijectors, tfp.distributions
reals = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
positive = tfd.Independent(tfd.LogNormal(tf.zeros(2), 1.0), 1)
unit = tfd.Independent(tfd.Beta(2 * tf.ones(2), 2.0), 1)
simplex = tfd.Dirichlet(2 * tf.ones(2))
INF = np.inf

# ----------------------------------------------------------------------------- supports


SUPPORTS = {
    "gaussian": (reals, -INF, INF),
    "full": (tfd.MultivariateNormalTriL([0.0, 9.0], np.eye(2, dtype="float32")), -INF, INF),
    "gamma": (tfd.Gamma(2.0, 3.0), 0, INF),
    "log normal": (positive, 0, INF),
    "beta": (unit, 0, 1),
    "uniform": (tfd.Uniform(-1.0, 2.5), -1, 2.5),
    "widest of all": (tfd.Uniform([-1.0, 0.0], [2.5, 9.0]), -1, 9),
    "triangular": (tfd.Triangular(-1.0, 2.0, 0.5), -1, 2),
    "pareto": (tfd.Pareto(2.0, scale=1.5), 1.5, INF),
    "reciprocal": (families.Reciprocal(0.5, 3.0), 0.5, 3),
    "gompertz": (families.Gompertz(0.5, 3.0), 0, INF),
    "mixture": (
        tfd.MixtureSameFamily(tfd.Categorical([0.0, 0.0]), tfd.Gamma([1.0, 2.0], 1.0)), 0, INF,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SUPPORTS)
def test_the_support_of_a_distribution(name):
    distribution, low, high = SUPPORTS[name]
    found = _checks._support(distribution)
    assert not found.simplex
    np.testing.assert_allclose(found.low, np.broadcast_to(low, found.low.shape), atol=1e-6)
    np.testing.assert_allclose(found.high, np.broadcast_to(high, found.high.shape), rtol=1e-6)


def test_each_number_of_an_event_has_a_support_of_its_own():
    """A z with 0.2 in the second place has no density under this prior, and must be refused."""
    prior = tfd.Independent(tfd.Uniform([0.0, 0.5], [1.0, 1.0]), 1)
    assert prior.log_prob([0.2, 0.2]) == -INF
    with pytest.raises(ValueError, match="has a density only in"):
        _checks.check_support(unit, prior)


def test_a_support_lies_within_another():
    def support(low, high, simplex=False):
        return _checks._Support(np.asarray(low, float), np.asarray(high, float), simplex)

    line, half, one = support(-INF, INF), support(0, INF), support(0, 1)
    for inner, outer, within in (
        (line, line, True), (half, line, True), (line, half, False), (one, half, True),
        (half, one, False), (support(0, 1.5), one, False), (support(-0.5, 1), one, False),
        (support([0, -1], [1, 1]), one, False), (one, support([0, -1], [1, 1]), True),
        (support(0, 1, True), one, False), (one, support(0, 1, True), False),
        (support(0, 1, True), support(0, 1, True), True),
    ):  # fmt: skip
        assert inner.within(outer) is within, (inner, outer)


def test_each_algorithm_asks_for_its_own_inclusion():
    """AEVB for q within p, wake-sleep for p within q, a mixture of both for equal supports."""
    for posterior, prior, fits, dreams in (
        (reals, reals, True, True),
        (positive, reals, True, False),
        (reals, positive, False, True),
        (simplex, simplex, True, True),
        (unit, simplex, False, False),
        (simplex, unit, False, False),
    ):
        for check, good, message in (
            (_checks.check_support, fits, "gives z in .* a density only in"),
            (_checks.check_dreams, dreams, r"over .*\bover"),
            (_checks.check_one_support, fits and dreams, r"over .*\bover"),
        ):
            if good:
                check(posterior, prior)
            else:
                with pytest.raises(ValueError, match=message):
                    check(posterior, prior)


def test_where_no_support_is_known_draws_are_tried():
    """A flow may go anywhere; what it does not do to draws of the posterior is not looked for."""
    lognormal = tfd.TransformedDistribution(tfd.Normal(tf.zeros(2), 1.0), tfb.Exp())
    flow = tfd.TransformedDistribution(tfd.Independent(lognormal, 1), tfb.Scale(2.0))
    assert _checks._support(flow) is None
    _checks.check_support(positive, flow)
    with pytest.raises(ValueError, match="draws z that have no density under the prior"):
        _checks.check_support(reals, flow)


@pytest.mark.parametrize(
    ("posterior", "prior", "message"),
    [
        ("Normal", positive, r"in \(-inf, inf\), but the prior .* a density only in \(0, inf\)"),
        ("Normal", tfd.Independent(tfd.Poisson(tf.ones(2)), 1), "is discrete"),
        ("Poisson", positive, "is not reparameterised"),
    ],
)
def test_a_posterior_that_does_not_fit_is_refused(posterior, prior, message, any_encoder, make_vae):
    with pytest.raises(ValueError, match=message):
        make_vae(any_encoder(TFPDistribution(posterior, 2)), prior=prior, estimator="A")


def test_wake_sleep_wants_the_prior_within_the_posterior(any_encoder, any_decoder):
    with pytest.raises(
        ValueError, match=r"sleep phase .* over \(-inf, inf\), but .* over \(0, inf\)"
    ):
        WakeSleep(any_encoder(TFPDistribution("Gamma", 2)), any_decoder(), reals, estimator="A")


# ------------------------------------------------------------------------ distributions


def test_only_what_is_reparameterised_and_a_distribution_passes():
    VAE.check_posterior(None, reals)
    _checks.check_distribution(reals, "encoder")
    with pytest.raises(ValueError, match="is not reparameterised"):
        VAE.check_posterior(None, tfd.Poisson(1.0))
    with pytest.raises(ValueError, match=r"the encoder gives a tensor, not a distribution"):
        _checks.check_distribution(tf.zeros(2), "encoder")
    with pytest.raises(ValueError, match=r"events of shape \(2,\), but the posterior over \(3,\)"):
        _checks.check_events(tfd.MultivariateNormalDiag(tf.zeros(3)), reals)
    _checks.check_inputs((2, 3), tf.TensorShape((2, 3)))
    with pytest.raises(ValueError, match=r"over \(2, 3\), but the encoder reads \(3, 2\)"):
        _checks.check_inputs((2, 3), (3, 2))


@pytest.mark.parametrize(
    ("shape", "reads", "advice"),
    [
        ((9, 784), (28, 28, 1), "x.reshape(-1, 28, 28, 1)"),
        ((9, 28, 28, 1), (784,), "x.reshape(-1, 784)"),
        ((None, 28, 28), (28, 28, 1), "x.reshape(-1, 28, 28, 1)"),
        ((20, 12), (20, 12), "x.reshape(-1, 20, 12)"),  # a single datapoint
        ((9, 3, 20, 12), (20, 12, 3), "np.moveaxis(x, 1, -1)"),
        ((9, 20, 12), (20, 12, 3), "build the networks for these"),  # grey, not three in one
        ((9, 12, 20), (20, 12), "build the networks for these"),
    ],
)
def test_the_advice_on_a_shape_keeps_images_whole(shape, reads, advice):
    with pytest.raises(ValueError, match=re.escape(advice)):
        _checks.check_shape(shape, reads)


def test_networks_that_do_not_fit_are_told_apart(make_vae):
    with pytest.raises(ValueError, match="the encoder is a list: give a Keras model"):
        VAE([networks.gaussian_encoder(12, 8, 2)], networks.bernoulli_decoder(2, 8, 12))
    with pytest.raises(ValueError, match=r"gives z of shape \(4,\), but the decoder reads \(2,\)"):
        make_vae(networks.gaussian_encoder(12, 8, 4))


BITS, REALS = tfd.Bernoulli([0.0, 0.0], dtype=tf.float32), tfd.Normal([0.0, 0.0], 1.0)
COUNTS = tfd.Poisson([1.0, 1.0])
BLOCKS = tfd.Blockwise([tfd.Independent(d, 1) for d in (BITS, REALS)])


@pytest.mark.parametrize(
    ("likelihood", "unit_interval", "pixels"),
    [
        (BITS, True, True),
        (tfd.Independent(BITS, 1), True, True),
        (REALS, False, True),
        (tfd.Beta([1.0, 1.0], 1.0), False, True),
        (tfd.ProbitBernoulli([0.0, 0.0]), True, True),
        (COUNTS, False, False),
        (tfd.Independent(tfd.Categorical(tf.zeros((2, 3))), 1), False, False),
        (tfd.MixtureSameFamily(tfd.Categorical([0.0, 0.0]), BITS), True, True),
        (tfd.MixtureSameFamily(tfd.Categorical([0.0, 0.0]), COUNTS), False, False),
        (tfd.TransformedDistribution(REALS, tfb.Exp()), False, True),
        (BLOCKS, [True, True, False, False], True),
        (tfd.Blockwise([tfd.Independent(d, 1) for d in (BITS, COUNTS)]), [True, True, False, False],
         False),
        (tfd.Blockwise([tfd.Independent(d, 1) for d in (REALS, COUNTS)]), False, False),
    ],
)  # fmt: skip
def test_which_data_a_likelihood_is_over(likelihood, unit_interval, pixels):
    np.testing.assert_array_equal(_supports.needs_unit_interval(likelihood), unit_interval)
    assert _supports.reads_pixels(likelihood) is pixels


def test_hmc_moves_vectors_of_reals_along_a_gradient():
    def model(prior, decode=lambda z: tfd.Normal(z, 1.0)):
        return types.SimpleNamespace(prior=prior, decode=decode)

    _checks.check_movable(model(reals))
    for bad, message in (
        (model(tfd.Normal(0.0, 1.0)), r"z is of shape \(\), but HMC"),
        (model(tfd.Independent(tfd.Normal(tf.zeros((2, 2)), 1.0), 2)), r"z is of shape \(2, 2\)"),
        (model(positive), r"over \(0, inf\), but HMC here moves over all reals"),
        (model(tfd.Independent(tfd.Uniform([-1.0], [2.0]), 1)), r"over \(-1, 2\), but HMC"),
        (model(simplex), "over a simplex, but HMC"),
        (model(reals, lambda z: tfd.Normal(tf.round(z), 1.0)), "has no gradient in z"),
        (model(reals, lambda z: tfd.Normal(tf.stop_gradient(z), 1.0)), "has no gradient in z"),
    ):
        with pytest.raises(ValueError, match=message):
            _checks.check_movable(bad)


def test_the_input_that_a_network_reads():
    dense = keras.Sequential([keras.layers.Dense(2)])
    assert _checks.input_shape(dense, "encoder") is None
    dense(tf.zeros((3, 5)))
    assert tuple(_checks.input_shape(dense, "encoder"))[1:] == (5,)
    assert _checks.input_shape(networks.gaussian_encoder(12, 8, 2), "encoder") == (None, 12)

    class Written(keras.Model):
        def call(self, x, mask=None, training=False, **options):
            return x

    class Pair(keras.Model):
        def call(self, x, other):
            return x

    assert _checks.input_shape(Written(), "encoder") is None
    with pytest.raises(ValueError, match="the decoder has 2 inputs"):
        _checks.input_shape(Pair(), "decoder")


# --------------------------------------------------------------------------------- data


@pytest.mark.parametrize(
    "x",
    [
        np.array([[0.0, 1.0]], "float32"),
        np.array([[0, 1]]),
        np.array([[False, True]]),
        np.array([[0, 255]], np.uint8),
        np.array([[0, 2]], np.uint8),
        np.array([[0, 0]], np.uint8),
    ],
)
def test_pixels_from_black_to_white_pass(x):
    _checks.check_values(x, unit_interval=True, pixels=True)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[0.0, 1.001]], r"pixels lie in \[0, 1.001\]"),
        ([[-0.001, 1.0]], r"pixels lie in \[-0.001, 1\]"),
        ([[0.0, np.nan]], "1 of 2 values are NaN"),
        ([[np.inf, -np.inf]], "2 of 2 values are NaN or infinite"),
        (np.array([[0, 1]], np.uint8), "these uint8 data are all 0 or 1"),
    ],
)
def test_pixels_beyond_do_not(x, message):
    with pytest.raises(ValueError, match=message):
        _checks.check_values(x, unit_interval=True, pixels=True)


def test_which_values_are_looked_at_depends_on_the_likelihood():
    wide = np.array([[-3.0, 7.0]], "float32")
    _checks.check_values(wide, unit_interval=False, pixels=True)
    _checks.check_values(np.array([[0, 1]], np.uint8), unit_interval=False, pixels=False)
    with pytest.raises(ValueError, match=r"pixels lie in \[0, 200\]"):  # counts are not scaled
        _checks.check_values(np.array([[0, 200]], np.uint8), unit_interval=True, pixels=False)
    second = np.array([False, True])
    _checks.check_values(np.array([[-3.0, 1.0]]), unit_interval=second, pixels=True)
    with pytest.raises(ValueError, match=r"pixels lie in \[7, 7\]"):
        _checks.check_values(wide, unit_interval=second, pixels=True)


def test_shapes():
    _checks.check_shape((1, 2, 3), (2, 3))
    for shape, message in (
        ((5, 3), r"\(5, 3\), but the model reads \(n, 2, 3\)"),
        ((5, 3, 2), r"\(5, 3, 2\), but"),
        ((None, 2), r"\(n, 2\), but"),
        ((0, 2, 3), "the data set is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            _checks.check_shape(shape, (2, 3))


def test_rows_are_numbers_from_0_to_the_last_each_once():
    _checks.check_rows(np.arange(10)[::-1], 10)
    _checks.check_rows(np.array([], int), 10)
    for rows, message in (
        ([3, 10], "10 is not a row of 10 training datapoints: number them from 0 to 9"),
        ([-1, 3], "-1 is not a row"),
        ([3, 4, 3], "has row 3 more than once"),
    ):
        with pytest.raises(ValueError, match=message):
            _checks.check_rows(np.array(rows), 10)


def test_one_array_is_read():
    assert _checks.one_input("anything") == "anything"
    np.testing.assert_array_equal(_checks.one_input([[1, 2], [3, 4]]), [[1, 2], [3, 4]])
    for several, message in (
        ([[1], [2, 3]], "a list of parts that differ in shape"),
        ({"a": 1}, "a dict of 1, but this model reads one array"),
        ((1, 2), "a tuple of 2"),
    ):
        with pytest.raises(ValueError, match=message):
            _checks.one_input(several)
    x = np.zeros((4, 2))
    for data in (x, (x,), (x, x), (x, x, x)):
        stream = tf.data.Dataset.from_tensor_slices(data).batch(2)
        assert _checks.stream_input(stream).shape == (None, 2)
