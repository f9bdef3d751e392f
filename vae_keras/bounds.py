"""Estimators of variational lower bounds: pure functions, in nats per datapoint.

Shapes: `z` is (L, M, *event), L samples of q(z|x) for each of M datapoints; `log_likelihood` is
(L, M), log p(x|z) for each of them. Larger is better.
"""

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from vae_keras.typing import Draws, PerDatapoint, PerDraw


class Bound(NamedTuple):
    """An estimate of the bound and of its two terms, each of shape (M,): elbo = recon. - kl."""

    elbo: PerDatapoint
    reconstruction: PerDatapoint
    kl: PerDatapoint


def sgvb_a(
    posterior: tfd.Distribution, prior: tfd.Distribution, z: Draws, log_likelihood: PerDraw
) -> Bound:
    """Estimator A, equation 6: the mean over L of log p(x, z) - log q(z|x). For any q and p."""
    reconstruction = tf.reduce_mean(log_likelihood, axis=0)
    kl = tf.reduce_mean(posterior.log_prob(z) - prior.log_prob(z), axis=0)
    return Bound(reconstruction - kl, reconstruction, kl)


def sgvb_b(
    posterior: tfd.Distribution, prior: tfd.Distribution, z: Draws, log_likelihood: PerDraw
) -> Bound:
    """Estimator B, equation 7: the KL in closed form, only the reconstruction sampled.

    Raises NotImplementedError where TFP knows no closed form for this pair.
    """
    del z  # only through the likelihood
    reconstruction = tf.reduce_mean(log_likelihood, axis=0)
    kl = tfd.kl_divergence(posterior, prior)
    return Bound(reconstruction - kl, reconstruction, kl)


def importance_weighted(
    posterior: tfd.Distribution, prior: tfd.Distribution, z: Draws, log_likelihood: PerDraw
) -> Bound:
    """Burda et al. (2015): the log of the mean over L of p(x, z) / q(z|x). For any q and p.

    With one sample estimator A; with more a tighter bound of log p(x). The reconstruction is the
    mean over the samples as they are weighted, and `kl` what the bound loses against it.
    """
    log_weights = log_likelihood + prior.log_prob(z) - posterior.log_prob(z)
    elbo = tfp.math.reduce_logmeanexp(log_weights, axis=0)
    shares = tf.stop_gradient(tf.nn.softmax(log_weights, axis=0))  # wake-sleep learns from these
    reconstruction = tf.reduce_sum(shares * log_likelihood, axis=0)
    return Bound(elbo, reconstruction, reconstruction - elbo)


ESTIMATORS = {"A": sgvb_a, "B": sgvb_b, "IW": importance_weighted}
