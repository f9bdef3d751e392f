"""The speed that a training step cannot exceed on this machine: its matrix products alone."""

import time

import numpy as np


def products_rate(batch: int, pixels: int, hidden: int, latent: int, outputs: int = 1) -> float:
    """Samples a second if a step were its matrix products alone, by NumPy's BLAS, over a second.

    `outputs`: parameters of p(x|z) a pixel, 1 for Bernoulli, 2 for a Gaussian.
    """
    rng = np.random.default_rng(0)

    def matrix(*shape):
        return rng.normal(size=shape).astype("float32")

    products = []
    layers = (pixels, hidden), (hidden, 2 * latent), (latent, hidden), (hidden, outputs * pixels)
    for n_in, n_out in layers:
        x, w, gradient = matrix(batch, n_in), matrix(n_in, n_out), matrix(batch, n_out)
        products += [(x, w), (x.T, gradient)]  # the output, and the gradient of the weights
        if n_in != pixels:
            products.append((gradient, w.T))  # the gradient of the input
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < 1:
        for a, b in products:
            a @ b
        steps += 1
    return batch * steps / (time.perf_counter() - began)
