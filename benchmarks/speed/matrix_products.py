"""The speed that a training step cannot exceed on this machine: its matrix products alone.

python benchmarks/speed/matrix_products.py    # by NumPy and by XLA

The kit computes its products by XLA: if these are faster than NumPy's, a step may be faster too.
Measured on one core, on all cores, and in one process per core at once with the rates added. The
last two show how much runs side by side can gain over runs one after the other. At the end it
prints how long figure 2 to 10^6 samples would take if it were only its products.
"""

import os
import statistics
import subprocess
import sys
import time

import numpy as np

SIZES = (100, 784, 500, 20)  # M, pixels, hidden units, N_z
# Those of figure 2: Frey Face has two parameters per pixel.
PANELS = [(100, 784, 500, n) for n in (3, 5, 10, 20, 200)]
PANELS += [(500, 560, 200, n, 2) for n in (2, 5, 10, 20)]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


def products(
    batch: int, pixels: int, hidden: int, latent: int, outputs: int = 1
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The pairs of matrices that a step of AEVB multiplies.

    `outputs`: parameters of p(x|z) per pixel, 1 for Bernoulli, 2 for a Gaussian.
    """
    rng = np.random.default_rng(0)

    def matrix(*shape):
        return rng.normal(size=shape).astype("float32")

    pairs = []
    layers = (pixels, hidden), (hidden, 2 * latent), (latent, hidden), (hidden, outputs * pixels)
    for n_in, n_out in layers:
        x, w, gradient = matrix(batch, n_in), matrix(n_in, n_out), matrix(batch, n_out)
        pairs += [(x, w), (x.T.copy(), gradient)]  # the output, and the gradient of the weights
        if n_in != pixels:
            pairs.append((gradient, w.T.copy()))  # the gradient of the input
    return pairs


def operations(*sizes: int) -> int:
    """Floating-point operations of the products of a step, with the arguments of `products`."""
    return sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b in products(*sizes))


def numpy_rate(*sizes: int) -> float:
    """Samples per second of a step's products alone, by NumPy's BLAS, measured for a second."""
    pairs = products(*sizes)

    def step(n):
        for _ in range(n):
            for a, b in pairs:
                a @ b

    return _rate(step, sizes[0])


def products_rate(*sizes: int) -> float:
    """The same by XLA, in one compiled loop, as the kit multiplies."""
    import tensorflow as tf

    pairs = [(tf.constant(a), tf.constant(b)) for a, b in products(*sizes)]

    @tf.function(jit_compile=True)
    def step(n):
        def body(k, nothing, *_):
            # Each product depends on the one before, or XLA would move them out of the loop.
            made = []
            for a, b in pairs:
                made.append(tf.matmul(a + nothing, b))
                nothing = 1e-30 * made[-1][0, 0]
            return (k + 1, nothing, *made)

        start = [tf.zeros((a.shape[0], b.shape[1])) for a, b in pairs]
        return tf.while_loop(lambda k, *_: k < n, body, (0, 0.0, *start))[1]

    return _rate(lambda n: step(tf.constant(n)).numpy(), sizes[0])


def _rate(step, batch):
    step(20)
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < 1:
        step(20)
        steps += 20
    return batch * steps / (time.perf_counter() - began)


def measured(threads: dict[str, str], n: int) -> list[list[float]]:
    """The rates of NumPy and XLA in each of `n` processes at once, with `threads` set."""
    environment = os.environ | threads | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "rates"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    processes = [subprocess.Popen(command, env=environment, **quiet) for _ in range(n)]
    return [[float(rate) for rate in one.communicate()[0].split()] for one in processes]


def main() -> None:
    """Print the table; with an argument, the rates of this process alone."""
    if len(sys.argv) > 1:
        for rate in numpy_rate, products_rate:
            print(statistics.median(rate(*SIZES) for _ in range(5)))
        return
    one = dict.fromkeys(THREADS, "1")
    cores = os.cpu_count() or 1
    best = 0.0
    for title, threads, n in (
        ("one core", one, 1),
        ("all cores", {}, 1),
        ("a process a core", one, cores),
    ):
        rates = map(sum, zip(*measured(threads, n), strict=True))
        for name, rate in zip(("NumPy", "XLA"), rates, strict=True):
            gflops = rate / SIZES[0] * operations(*SIZES) / 1e9
            best = max(best, gflops)
            print(f"{title:<17} {name:<6} {rate:>10,.0f} samples/s {gflops:>8.1f} GFLOP/s")
    # For each panel AEVB, and wake-sleep counted like AEVB, though it has more products.
    whole = 1e6 * sum(2 * operations(*sizes) / sizes[0] for sizes in PANELS) / 1e9
    print(f"figure 2, 18 runs of 10^6 samples: {whole:,.0f} GFLOP, {whole / best / 60:.1f} minutes")


if __name__ == "__main__":
    main()
