"""What an epoch of `fit` costs beyond its compiled loop, by a model with next to no arithmetic.

    .venv/bin/python benchmarks/speed/host.py

The model has two pixels and one hidden unit; N = 50,000, M = 100. `fit` runs with its guard, a
callback and a progress bar. The loop alone runs the same program on minibatches that were gathered
before. They take turns of 100 epochs. Writes host.csv, milliseconds per epoch.
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import contextlib
import io
import time

import common
import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from vae_keras import VAE, networks
from vae_keras.models import _walks

N, M, EPOCHS, TURNS = 50_000, 100, 100, 5


def main():
    """Print and write the table; see the module."""
    vae = VAE(networks.gaussian_encoder(2, 1, 1), networks.bernoulli_decoder(1, 1, 2))
    vae.compile()
    x = np.random.default_rng(0).integers(0, 256, size=(N, 2), dtype=np.uint8)
    walk = _walks.Walk(vae._loop, x, M, True, None, None)
    stack = vae.minibatch(walk.array, np.arange(walk.at_once * M).reshape(-1, M))
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)

    def loop():
        for _ in range(EPOCHS * N // (walk.at_once * M)):
            logs = vae._loop._many(stack, tf.constant(walk.at_once))
        return float(logs["loss"])

    def fit():
        with contextlib.redirect_stdout(io.StringIO()):
            vae.fit(x, batch_size=M, epochs=EPOCHS, callbacks=[note])

    vae.fit(x, batch_size=M, verbose=0)
    rows = []
    for _ in range(TURNS):
        taken = []
        for program in (loop, fit):
            began = time.perf_counter()
            program()
            taken.append(1e3 * (time.perf_counter() - began) / EPOCHS)
        rows.append({"loop": taken[0], "fit": taken[1], "beyond": taken[1] - taken[0]})
    table = pd.DataFrame(rows).round(2)
    print(table, table.median().rename("median"), sep="\n")
    table.to_csv(common.HERE / "host.csv", index=False)


if __name__ == "__main__":
    main()
