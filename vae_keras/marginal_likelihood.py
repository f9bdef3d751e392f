"""Estimates of log p(x) in nats: appendix D with HMC, and importance sampling with the encoder.

Both return an `Estimate`. A model is any object with `decode(z)` and `prior`, as in `mcmc`;
importance sampling also needs `encode(x)`. Data x have shape (N, *input); uint8 pixels are read as
x / 255.
"""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from vae_keras import _checks, _noise, _programs, _supports, mcmc
from vae_keras.pixels import intensities
from vae_keras.typing import Data, Decoding, Encoding, Nats

__all__ = ["DENSITIES", "Estimate", "appendix_d", "compare", "importance_sampling"]

_LEAST_ACCEPTANCE = 0.5  # a chain that accepts fewer of its moves has not explored p(z|x)
_RELIABLE_DIMENSIONS = 5  # the paper: appendix D is good below about five
DISAGREE, NATS = 5, 0.5  # tolerance per datapoint: standard errors, plus nats
_LEAST_SAMPLES_A_DIMENSION = 3  # to fit a Gaussian with a full covariance


class Estimate(NamedTuple):
    """Estimates of log p(x), one per datapoint.

    Args:
        log_likelihood: (N,), nats.
        error: (N,), the Monte Carlo standard error of each.
        acceptance: (N,), the acceptance rate of HMC; None without HMC.

    >>> import numpy as np
    >>> from vae_keras.marginal_likelihood import Estimate
    >>> nats, error, _ = Estimate(np.array([-90.0, -110.0]), np.array([0.3, 0.4]))
    >>> print(nats.mean(), np.sqrt(np.sum(error**2)) / len(nats))  # the mean and its error
    -100.0 0.25
    """

    log_likelihood: Nats
    error: Nats
    acceptance: np.ndarray | None = None


def appendix_d(
    model: Decoding,
    x: Data,
    n_samples: int = 50,
    *,
    density: str = "gaussian",
    leapfrog_steps: int = 4,
    burn_in: int = 150,
    seed: int = 0,
) -> Estimate:
    """Estimate log p(x) by the marginal likelihood estimator of appendix D.

    For each datapoint: (1) draw `n_samples` (L) values of z from p(z|x) by HMC; (2) fit a density
    q(z) to them; (3) draw L new values z_l from p(z|x), and estimate log p(x) by

        -log mean_l [q(z_l) / (p(z_l) p(x|z_l))]

    Args:
        model: any object with `decode(z)` and `prior`.
        x: the data, (N, *input).
        n_samples: L, at least 3 (d + 1) in d latent dimensions.
        density: "gaussian", with a full covariance, or "kde", Gaussian kernels of Scott's width.
        leapfrog_steps, burn_in: as in `mcmc.hmc`.
        seed: seed of the noise, a non-negative integer.

    Returns:
        An `Estimate`, with the acceptance rate of each chain.

    Raises:
        ValueError: for an argument out of range, a decoder without a gradient in z, and data that
            do not fit the model.

    Warns:
        UserWarning: above five latent dimensions, where q no longer fits well enough, and about
            chains that accept less than half of their moves.

    >>> from tensorflow_probability import distributions as tfd
    >>> from vae_keras.marginal_likelihood import appendix_d
    >>> class Model:  # z from N(0, 1), x from N(z, 1): so x is from N(0, 2)
    ...     prior = tfd.MultivariateNormalDiag([0.0])
    ...     def decode(self, z):
    ...         return tfd.MultivariateNormalDiag(z)
    >>> appendix_d(Model(), [[0.0]], 1000).log_likelihood.round(1)  # -log(4 pi) / 2 = -1.27
    array([-1.3], dtype=float32)
    """
    if density not in DENSITIES:
        raise ValueError(f"unknown density {density!r}: one of {', '.join(DENSITIES)}")
    _checks.check_movable(model)
    x = _supports.checked_data(x, model)
    (dimensions,) = model.prior.event_shape
    least = _LEAST_SAMPLES_A_DIMENSION * (dimensions + 1)
    n_samples = _checks.count(
        f"n_samples (L), to fit a density in {dimensions} dimensions,", n_samples, least
    )
    leapfrog_steps = _checks.count("leapfrog_steps", leapfrog_steps)
    burn_in = _checks.count("burn_in", burn_in, 0)
    if dimensions > _RELIABLE_DIMENSIONS:
        warnings.warn(
            f"appendix D's estimator is not reliable in {dimensions} latent dimensions, only up to "
            f"about {_RELIABLE_DIMENSIONS}: use importance_sampling",
            stacklevel=2,
        )

    def estimate(x, seed):
        chains = mcmc.chains(
            model, x, 2 * n_samples, seed, leapfrog_steps=leapfrog_steps, burn_in=burn_in
        )
        q = DENSITIES[density](chains.z[:n_samples])
        log_ratio = q(chains.z[n_samples:]) - chains.log_prob[n_samples:]
        return -_log_mean(log_ratio), _error_of_log_mean(log_ratio), chains.acceptance

    settings = ("appendix D", n_samples, density, leapfrog_steps, burn_in)
    made = _programs.compiled(model, settings, estimate)
    parts = _programs.in_batches(made, x, lambda batch: _seed_of(seed, batch), axes=(0, 0, 0))
    nats, error, acceptance = (values.numpy() for values in parts)
    stuck = int(np.sum(acceptance < _LEAST_ACCEPTANCE))
    if stuck:
        warnings.warn(
            f"{stuck} of {len(x)} chains accept less than {_LEAST_ACCEPTANCE:.0%} of their moves, "
            f"where 90% was asked: their estimates mean little; raise burn_in (now {burn_in})",
            stacklevel=2,
        )
    return Estimate(nats, error, acceptance)


def _gaussian(z):
    """The log density of the Gaussian fitted to z (L, N, d), a function (S, N, d) -> (S, N)."""
    mean, scale = tf.reduce_mean(z, 0), _scale(z)
    return lambda values: _log_normal(values - mean, scale)


def _kernels(z):
    """The log density of Gaussian kernels on z (L, N, d), with the width of Scott's rule."""
    n, _, dimensions = z.shape
    width = n ** (-1 / (dimensions + 4))
    scale = width * _scale(z)

    def log_density(values):
        return tf.map_fn(lambda value: _log_mean(_log_normal(value - z, scale)), values)

    return log_density


def _log_normal(values, scale):
    """log N(values; 0, S S') for a Cholesky factor S (N, d, d), summed over the last axis."""
    # MultivariateNormalTriL in a compiled program would never be freed, nor would its graph: TFP's
    # bijectors cache their input tensors.
    factor = tf.linalg.LinearOperatorLowerTriangular(scale)
    log_prob = tf.reduce_sum(tfd.Normal(0.0, 1.0).log_prob(factor.solvevec(values)), -1)
    return log_prob - factor.log_abs_determinant()


def _scale(z):
    """The Cholesky factor of the covariance of z (L, N, d), (N, d, d)."""
    # In float64: float32 loses the thickness of a cloud a thousand times as long as it is thick.
    centred = tf.cast(z, tf.float64) - tf.reduce_mean(tf.cast(z, tf.float64), 0)
    covariance = tf.einsum("lni,lnj->nij", centred, centred) / (z.shape[0] - 1)
    # Keeps it positive definite: a negligible 1e-12 of each variance; 1e-30 for an unmoved chain.
    variances = tf.linalg.diag_part(covariance)
    covariance = tf.linalg.set_diag(covariance, (1 + 1e-12) * variances + 1e-30)
    return tf.cast(tf.linalg.cholesky(covariance), z.dtype)


#: The names that the argument `density` of `appendix_d` takes.
DENSITIES = {"gaussian": _gaussian, "kde": _kernels}


def importance_sampling(
    model: Encoding, x: Data, n_samples: int = 1000, *, prior_share: float = 0.0, seed: int = 0
) -> Estimate:
    """Estimate log p(x) by importance sampling with the encoder.

    K draws z_k from q(z|x) give the estimate

        log mean_k [p(x|z_k) p(z_k) / q(z_k|x)]

    Its expectation is a lower bound of log p(x) that tightens with K (the importance-weighted
    bound). The method works for any latent size, in memory that does not grow with K.

    Args:
        model: any object with `encode(x)`, `decode(z)` and `prior`.
        x: the data, (N, *input).
        n_samples: K, the number of draws from the encoder.
        prior_share: a, the share of draws from p(z) instead, at least 0 and below 1; q is then the
            mixture (1 - a) q(z|x) + a p(z). With few latent dimensions this finds p(z|x) even where
            the encoder misses it.
        seed: seed of the noise, a non-negative integer.

    Returns:
        An `Estimate`, without an acceptance rate.

    Raises:
        ValueError: for an argument out of range, a model without an encoder, data that do not fit
            the model, and a `prior_share` above 0 if the supports of q(z|x) and p(z) differ.

    >>> from tensorflow_probability import distributions as tfd
    >>> from vae_keras.marginal_likelihood import importance_sampling
    >>> class Model:  # z from N(0, 1), x from N(z, 1): so x is from N(0, 2)
    ...     prior = tfd.MultivariateNormalDiag([0.0])
    ...     def decode(self, z):
    ...         return tfd.MultivariateNormalDiag(z)
    ...     def encode(self, x):  # p(z|x) itself: each ratio is p(x), without any error
    ...         return tfd.MultivariateNormalDiag(x / 2, [0.5**0.5])
    >>> importance_sampling(Model(), [[0.0]], n_samples=5).log_likelihood.round(2)
    array([-1.27], dtype=float32)
    """
    if not hasattr(model, "encode"):
        raise ValueError(
            f"{type(model).__name__} has no encoder to draw from: use appendix_d, which needs none"
        )
    n_samples = _checks.count("n_samples (K)", n_samples)
    if not 0 <= prior_share < 1:
        raise ValueError(f"prior_share is {prior_share}, but must be at least 0 and below 1")
    x = _supports.checked_data(x, model)
    from_prior = min(round(prior_share * n_samples), n_samples - 1)
    mixed, share = from_prior > 0, from_prior / n_samples
    if mixed:
        _checks.check_one_support(model.encode(intensities(x[:1])), model.prior)
    log_shares = (math.log1p(-share), math.log(share)) if mixed else (0.0, -math.inf)

    def estimate(x, seed, n_samples, from_prior, log_shares):
        encoder, prior = model.encode(x), model.prior
        n = tf.cast(n_samples, tf.float64)

        def add(k, total, total_of_squares):
            seed_k = tf.stack([seed[0], seed[1] + k])
            z = encoder.sample(seed=seed_k)
            log_q = encoder.log_prob(z)
            if mixed:
                z = tf.where(k < from_prior, prior.sample(x.shape[0], seed=seed_k), z)
                log_q = tfp.math.log_add_exp(
                    log_shares[0] + encoder.log_prob(z), log_shares[1] + prior.log_prob(z)
                )
            # In float32 the sum would stop growing once a draw adds less than its last digit.
            log_ratio = tf.cast(mcmc.log_joint(model, x, z) - log_q, tf.float64)
            total = tfp.math.log_add_exp(total, log_ratio)
            return k + 1, total, tfp.math.log_add_exp(total_of_squares, 2 * log_ratio)

        nothing = tf.fill([x.shape[0]], tf.constant(-1e300, tf.float64))  # -inf would give NaN
        _, total, squares = tf.while_loop(lambda k, *_: k < n_samples, add, [0, nothing, nothing])
        # The relative variance of the mean: (mean of squares / mean^2 - 1) / K.
        relative = tf.exp(squares - 2 * total) - 1 / n
        found = total - tf.math.log(n), tf.sqrt(tf.maximum(relative, 0.0))
        return tuple(tf.cast(value, tf.float32) for value in found)

    made = _programs.compiled(model, ("importance sampling", mixed), estimate)
    numbers = tf.constant(n_samples), tf.constant(from_prior), tf.constant(log_shares)
    parts = _programs.in_batches(
        lambda x, seed: made(x, seed, *numbers), x, lambda batch: _seed_of(seed, batch), (0, 0)
    )
    return Estimate(*(values.numpy() for values in parts))


def compare(model: Any, x: Data) -> Any:
    """Compare both estimates of log p(x) and the lower bound of a model with an encoder.

    Half the draws of importance sampling come from the prior, for datapoints that the encoder
    misses.

    Args:
        model: an `AutoEncoder`, or any object with its `elbo`, `encode`, `decode` and `prior`.
        x: the data, (N, *input).

    Returns:
        A pandas DataFrame with the columns estimator, nats (the mean over x) and error (its Monte
        Carlo standard error).

    Raises:
        ValueError: as the two estimators do.
        ImportError: without pandas.

    Warns:
        UserWarning: as the two estimators do, and, with row numbers, if the two differ by more than
            their errors allow.

    >>> from vae_keras import VAE, networks
    >>> from vae_keras.marginal_likelihood import compare
    >>> encoder, decoder = networks.gaussian_encoder(3, 4, 1), networks.bernoulli_decoder(1, 4, 3)
    >>> table = compare(VAE(encoder, decoder), [[1.0, 0.0, 1.0]])  # untrained, so p(x) = 1/8
    >>> print(table[["estimator", "nats"]].round().to_string(index=False))  # log(1/8) = -2.08
                          estimator  nats
                 appendix D, L = 50  -2.0
    importance sampling, K = 10,000  -2.0
                        lower bound  -2.0
    """
    pandas = _checks.package("pandas", "the table of marginal_likelihood.compare")
    one, other = appendix_d(model, x), importance_sampling(model, x, 10_000, prior_share=0.5)
    difference = np.abs(one.log_likelihood - other.log_likelihood)
    apart = difference > DISAGREE * np.hypot(one.error, other.error) + NATS
    if rows := np.flatnonzero(apart).tolist():
        which = ", ".join(map(str, rows[:10])) + ", ..." * (len(rows) > 10)
        warnings.warn(
            f"the two estimators differ by more than their errors allow in {len(rows)} of {len(x)} "
            f"datapoints ({which}), by up to {np.max(difference):.1f} nats. At least one is wrong "
            "there, which its error does not show: a chain stays in one mode of p(z|x), or the "
            "encoder misses one",
            stacklevel=2,
        )
    names = ("appendix D, L = 50", "importance sampling, K = 10,000")
    lines = [
        (name, found.log_likelihood.mean(), np.sqrt(np.sum(found.error**2)) / len(x))
        for name, found in zip(names, (one, other), strict=True)
    ]
    bounds = [model.elbo(x) for _ in range(10)]
    error = np.std(np.mean(bounds, axis=1)) / math.sqrt(len(bounds) - 1)
    lines.append(("lower bound", np.mean(bounds), error))
    return pandas.DataFrame(lines, columns=["estimator", "nats", "error"]).round(3)


def _seed_of(seed, batch):
    """The first seed of a batch, 10^9 draws away from that of any other batch."""
    branch, second = divmod(batch, 2)
    return _noise.at(seed, 2**20 * (1000 * second + 1), branch)


def _log_mean(values):
    return tf.reduce_logsumexp(values, 0) - math.log(values.shape[0])


def _error_of_log_mean(values):
    """The standard error of `_log_mean` by the delta method and batch means along the chain."""
    length = math.isqrt(values.shape[0])
    batches = tf.exp(values - _log_mean(values))[: values.shape[0] // length * length]
    means = tf.reduce_mean(tf.reshape(batches, (-1, length, values.shape[1])), axis=1)
    return tf.math.reduce_std(means, axis=0) / math.sqrt(means.shape[0] - 1)
