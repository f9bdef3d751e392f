"""Both estimates of log p(x) on figure 3's AEVB model, beside the integral over z on a grid.

    .venv/bin/python benchmarks/validation/quadrature.py

The model is as in figure 3 with N_train = 50,000, but with a step of 0.1, after 10^7 samples. It is
trained first if it is not in the store. The grid has 226^3 points in three latent dimensions; 60
test digits take a few minutes. Writes quadrature.csv and quadrature.json.
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import common
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from vae_keras import datasets, marginal_likelihood, pixels
from vae_keras.reproduction import experiments, runs

DIGITS = 60
GRID = np.linspace(-4.5, 4.5, 226, dtype=np.float32)


def log_likelihood(model, x: np.ndarray) -> np.ndarray:
    """log p(x) of (N, pixels) intensities by the sum over the grid, (N,)."""

    @tf.function(jit_compile=True)
    def log_joint(z):  # the log density of Bernoulli pixels, as products of matrices
        logits = model.decode(z).distribution.logits
        of_zeros = tf.reduce_sum(tf.nn.softplus(logits), 1) - model.prior.log_prob(z)
        return tf.reduce_logsumexp(tf.matmul(x, logits, transpose_b=True) - of_zeros, axis=1)

    plane = np.stack(np.meshgrid(GRID, GRID, indexing="ij"), -1).reshape(-1, 2)
    total = np.full(len(x), -np.inf)
    for z1 in tqdm(GRID, desc="planes of the grid"):
        for part in np.array_split(plane, 4):
            z = np.insert(part, 0, z1, axis=1)
            total = np.logaddexp(total, log_joint(z).numpy().astype(np.float64))
    return total + 3 * np.log(GRID[1] - GRID[0])


def main():
    """Print and write the table."""
    data = datasets.load("mnist")
    experiment = experiments.Experiment(
        "mnist", 3, 10**7, hidden=100, n_train=50_000, step_size=0.1,
        measure="marginal_log_likelihood",
    )  # fmt: skip
    model, x = runs.run(experiment, data).model, data.x_test[:DIGITS]
    exact = log_likelihood(model, pixels.intensities(x).numpy())
    rows = []

    def add(estimator, nats):
        error = nats - exact
        rows.append((estimator, nats.mean(), error.mean(), np.median(error), np.abs(error).max()))

    add("sum over the grid", exact)
    for n in (50, 200):
        add(f"appendix D, L = {n}", marginal_likelihood.appendix_d(model, x, n).log_likelihood)
    for share in (0.0, 0.5):
        for k in (1_000, 10_000, 100_000):
            found = marginal_likelihood.importance_sampling(model, x, k, prior_share=share)
            add(f"importance sampling, K = {k:,}, {share:.0%} from p(z)", found.log_likelihood)
    add("lower bound", model.elbo(x, n_samples=100))
    columns = ["estimator", "mean", "mean_error", "median_error", "largest_error"]
    common.write(
        __file__,
        pd.DataFrame(rows, columns=columns).round(3),
        seed=0,
        digits=f"the first {DIGITS} of the MNIST test set",
        grid=f"{len(GRID)} points a side, from {GRID[0]} to {GRID[-1]}",
    )


if __name__ == "__main__":
    main()
