"""What is checked before work begins: which supports, which data, which rows are refused."""

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from vae_keras import WakeSleep
from vae_keras.layers import TFPDistribution

tfd = tfp.distributions
reals = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
positive = tfd.Independent(tfd.LogNormal(tf.zeros(2), 1.0), 1)
unit = tfd.Independent(tfd.Beta(2 * tf.ones(2), 2.0), 1)


@pytest.mark.parametrize(
    ("posterior", "prior", "message"),
    [
        ("Normal", positive, r"over \(-inf, inf\), but the prior .* over \(0, inf\)"),
        ("Gamma", unit, r"over \(0, inf\), but the prior .* over \(0, 1\)"),
        ("Dirichlet", unit, "over a simplex"),
        ("Normal", tfd.Independent(tfd.Poisson(tf.ones(2)), 1), "is discrete"),
        ("Poisson", positive, "is not reparameterised"),
        ("Bernoulli", reals, "is not reparameterised"),
        (
            "Normal",
            tfd.MixtureSameFamily(
                tfd.Categorical([0.0, 0.0]), tfd.Independent(tfd.Gamma(tf.ones((2, 2)), 1.0), 1)
            ),
            r"over \(-inf, inf\), but the prior .* over \(0, inf\)",
        ),
    ],
)
def test_a_posterior_that_does_not_fit_is_refused(posterior, prior, message, any_encoder, make_vae):
    with pytest.raises(ValueError, match=message):
        make_vae(any_encoder(TFPDistribution(posterior, 2)), prior=prior, estimator="A")


def test_wake_sleep_wants_the_prior_within_the_posterior(any_encoder, any_decoder):
    with pytest.raises(ValueError, match=r"asleep, .* over \(-inf, inf\), but .* over \(0, inf\)"):
        WakeSleep(any_encoder(TFPDistribution("Gamma", 2)), any_decoder(), reals, estimator="A")


def test_a_flow_as_prior_is_not_taken_for_narrow(any_encoder, make_vae):
    prior = tfd.TransformedDistribution(reals, tfp.bijectors.Scale(0.3))
    make_vae(any_encoder(TFPDistribution("Normal", 2)), prior=prior, estimator="A")


def test_a_prior_may_be_wider_than_the_posterior(any_encoder, make_vae):
    make_vae(any_encoder(TFPDistribution("Gamma", 2)), prior=reals, estimator="A")
