"""How far appendix D's estimator and importance sampling are from an exact log p(x), by N_z.

    .venv/bin/python benchmarks/validation/appendix_d.py

The model is linear and Gaussian, so log p(x) and p(z|x) are known. It has 30 numbers per datapoint,
noise of standard deviation 0.5, and random weights. The encoder is diagonal and has 1.5 times the
exact standard deviations. Writes appendix_d.csv and appendix_d.json. No data, no training.
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import warnings

import common
import numpy as np
import pandas as pd
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from vae_keras import marginal_likelihood

tfd = tfp.distributions
SIZES = (1, 2, 3, 4, 5, 7, 10, 15)
PIXELS, NOISE, DATAPOINTS, L, K, SEED = 30, 0.5, 500, 50, 1000, 0


class LinearGaussian:
    """p(z) = N(0, I), p(x|z) = N(W z, s^2 I)."""

    def __init__(self, latent_dim: int, rng: np.random.Generator):
        w = rng.normal(size=(PIXELS, latent_dim))
        precision = np.eye(latent_dim) + w.T @ w / NOISE**2
        posterior = np.linalg.inv(precision)
        self.covariance = w @ w.T + NOISE**2 * np.eye(PIXELS)
        self.w, self.to_mean, scale = (
            tf.constant(values, tf.float32)
            for values in (w.T, w @ posterior / NOISE**2, 1.5 * np.sqrt(np.diag(posterior)))
        )
        self.scale = scale
        self.prior = tfd.MultivariateNormalDiag(tf.zeros(latent_dim))

    def decode(self, z):
        """p(x|z)."""
        return tfd.Independent(tfd.Normal(z @ self.w, NOISE), 1)

    def encode(self, x):
        """A q(z|x) that is too wide."""
        return tfd.MultivariateNormalDiag(x @ self.to_mean, self.scale)


def main() -> None:
    """Estimate, print a table and write it."""
    rng, rows = np.random.default_rng(SEED), []
    for latent_dim in SIZES:
        model = LinearGaussian(latent_dim, rng)
        exact = scipy.stats.multivariate_normal(cov=model.covariance)
        x = exact.rvs(DATAPOINTS, random_state=SEED).astype("float32")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # its errors are shown here
            found = {
                f"appendix D, L = {L}": marginal_likelihood.appendix_d(model, x, L, seed=SEED),
                f"appendix D by kernels, L = {L}": marginal_likelihood.appendix_d(
                    model, x, L, density="kde", seed=SEED
                ),
                f"importance sampling, K = {K:,}": marginal_likelihood.importance_sampling(
                    model, x, K
                ),
            }
        for estimator, estimate in found.items():
            error = estimate.log_likelihood - exact.logpdf(x)
            rows.append((latent_dim, estimator, error.mean(), np.sqrt(np.mean(error**2)),
                         estimate.error.mean()))  # fmt: skip
            print(rows[-1], flush=True)
    columns = ["latent_dim", "estimator", "mean_error", "rms_error", "reported_error"]
    table = pd.DataFrame(rows, columns=columns).round(3)
    common.write(__file__, table, seed=SEED, datapoints=DATAPOINTS)


if __name__ == "__main__":
    main()
