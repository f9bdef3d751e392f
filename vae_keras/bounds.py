"""Estimators of variational lower bounds: pure functions, in nats per datapoint.

All three take the same arguments and return a `Bound`. Larger is better: in expectation each is at
most log p(x).

Args:
    posterior: q(z|x), of batch shape (M,).
    prior: p(z).
    z: (L, M, *latent), L samples from q for each of M datapoints.
    log_likelihood: log p(x|z), (L, M), at these samples.
"""

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from vae_keras.typing import Draws, PerDatapoint, PerDraw

__all__ = ["ESTIMATORS", "Bound", "importance_weighted", "sgvb_a", "sgvb_b"]


class Bound(NamedTuple):
    """An estimate of the bound and of its terms, each (M,), nats: `elbo` = `reconstruction` - `kl`.

    Args:
        elbo: the lower bound of log p(x).
        reconstruction: E_q(z|x)[log p(x|z)], or its weighted mean in `importance_weighted`.
        kl: KL(q(z|x) || p(z)), or its estimate.

    >>> from vae_keras.bounds import Bound
    >>> elbo, reconstruction, kl = Bound(elbo=-1.125, reconstruction=-1.0, kl=0.125)
    >>> elbo == reconstruction - kl
    True
    """

    elbo: PerDatapoint
    reconstruction: PerDatapoint
    kl: PerDatapoint


def sgvb_a(
    posterior: tfd.Distribution, prior: tfd.Distribution, z: Draws, log_likelihood: PerDraw
) -> Bound:
    """Estimator A, equation 6, for any q and p.

    Each term is a mean over the L samples. The arguments are those of the module.

        reconstruction = mean_l log p(x|z_l)
        kl = mean_l [log q(z_l|x) - log p(z_l)]
        elbo = reconstruction - kl

    Returns:
        A `Bound`. Its `kl` is estimated from the samples, and may be negative.

    >>> from tensorflow_probability import distributions as tfd
    >>> from vae_keras.bounds import sgvb_a
    >>> q, p = tfd.Normal([0.5], 1.0), tfd.Normal(0.0, 1.0)  # log q(z) - log p(z) = z/2 - 1/8
    >>> bound = sgvb_a(q, p, z=[[1.0]], log_likelihood=[[-2.0]])
    >>> print(bound.kl.numpy().round(3), bound.elbo.numpy().round(3))
    [0.375] [-2.375]
    """
    reconstruction = tf.reduce_mean(log_likelihood, axis=0)
    kl = tf.reduce_mean(posterior.log_prob(z) - prior.log_prob(z), axis=0)
    return Bound(reconstruction - kl, reconstruction, kl)


def sgvb_b(
    posterior: tfd.Distribution, prior: tfd.Distribution, z: Draws, log_likelihood: PerDraw
) -> Bound:
    """Estimator B, equation 7: only the reconstruction is sampled, the KL has a closed form.

    The arguments are those of the module.

        reconstruction = mean_l log p(x|z_l)
        elbo = reconstruction - KL(q(z|x) || p(z))

    For a Gaussian q of mean mu and variances sigma^2, and p(z) = N(0, I), appendix B gives

        KL(q(z|x) || p(z)) = -1/2 sum_j (1 + log sigma_j^2 - mu_j^2 - sigma_j^2)

    Returns:
        A `Bound`.

    Raises:
        NotImplementedError: if TFP has no closed form of the KL for this pair.

    >>> from tensorflow_probability import distributions as tfd
    >>> from vae_keras.bounds import sgvb_b
    >>> q, p = tfd.Normal([0.5], 1.0), tfd.Normal(0.0, 1.0)  # KL = 0.5^2 / 2
    >>> bound = sgvb_b(q, p, z=[[1.0]], log_likelihood=[[-2.0]])
    >>> print(bound.kl.numpy(), bound.elbo.numpy())
    [0.125] [-2.125]
    """
    del z  # enters only through the likelihood
    reconstruction = tf.reduce_mean(log_likelihood, axis=0)
    kl = tfd.kl_divergence(posterior, prior)
    return Bound(reconstruction - kl, reconstruction, kl)


def importance_weighted(
    posterior: tfd.Distribution, prior: tfd.Distribution, z: Draws, log_likelihood: PerDraw
) -> Bound:
    """The importance-weighted bound of the IWAE (Burda et al. 2015), for any q and p.

    One sample gives estimator A. More give a tighter bound on log p(x). The arguments are those of
    the module.

        w_l = p(x|z_l) p(z_l) / q(z_l|x)
        elbo = log mean_l w_l
        reconstruction = sum_l w_l log p(x|z_l) / sum_l w_l

    Returns:
        A `Bound`, where `kl` = `reconstruction` - `elbo`.

    >>> import tensorflow as tf
    >>> from tensorflow_probability import distributions as tfd
    >>> from vae_keras.bounds import importance_weighted
    >>> p = tfd.Normal([0.0], 1.0)  # with q = p, w_l = p(x|z_l)
    >>> bound = importance_weighted(p, p, tf.zeros((2, 1)), tf.math.log([[1.0], [3.0]]))
    >>> print(bound.elbo.numpy().round(3))  # log((1 + 3) / 2); the mean of the logs is 0.549
    [0.693]
    """
    log_weights = log_likelihood + prior.log_prob(z) - posterior.log_prob(z)
    elbo = tfp.math.reduce_logmeanexp(log_weights, axis=0)
    shares = tf.stop_gradient(tf.nn.softmax(log_weights, axis=0))  # wake-sleep learns from these
    reconstruction = tf.reduce_sum(shares * log_likelihood, axis=0)
    return Bound(elbo, reconstruction, reconstruction - elbo)


#: The names that the argument `estimator` of a model takes, and the function of each.
ESTIMATORS = {"A": sgvb_a, "B": sgvb_b, "IW": importance_weighted}
