"""What an epoch of `fit` costs beyond its compiled loop, by a model with next to no arithmetic.

    .venv/bin/python benchmarks/speed/host.py

The model has two pixels and one hidden unit; N = 50,000, M = 100. `fit` runs with its guard, a
callback and a progress bar. The loop alone runs the same program on minibatches that were gathered
before. Both take turns. Prints milliseconds per epoch.
"""

import contextlib
import io
import time

import keras
import numpy as np
import tensorflow as tf
import vae_keras
from vae_keras import VAE, networks
from vae_keras.models import _walks

N, M, EPOCHS, TURNS = 50_000, 100, 100, 5


def main():
    """Print a line per turn, and the medians."""
    vae = VAE(networks.gaussian_encoder(2, 1, 1), networks.bernoulli_decoder(1, 1, 2))
    vae.compile()
    x = np.random.default_rng(0).integers(0, 256, size=(N, 2), dtype=np.uint8)
    walk = _walks.Walk(vae._loop, x, M, True, None, None)
    stack = vae.minibatch(walk.array, np.arange(walk.at_once * M).reshape(-1, M))

    def loop():
        for _ in range(EPOCHS * N // len(stack) // M):
            logs = vae._loop._many(stack, tf.constant(walk.at_once))
        return float(logs["loss"])

    def fit():
        callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)
        with contextlib.redirect_stdout(io.StringIO()):
            vae.fit(x, batch_size=M, epochs=EPOCHS, callbacks=[callback])

    vae.fit(x, batch_size=M, verbose=0)
    found = []
    for _ in range(TURNS):
        row = []
        for program in (loop, fit):
            began = time.perf_counter()
            program()
            row.append(1e3 * (time.perf_counter() - began) / EPOCHS)
        found.append(row)
        0 and print(f"loop {row[0]:.1f} ms, fit {row[1]:.1f} ms, beyond {row[1] - row[0]:.1f} ms")
    loop_ms, fit_ms = np.min(found, axis=0)
    print(f"median: loop {loop_ms:.1f} ms, fit {fit_ms:.1f} ms, beyond {fit_ms - loop_ms:.1f} ms")


if __name__ == "__main__":
    main()
