"""What an epoch of `fit` costs beyond its compiled loop, by a model with next to no arithmetic.

    .venv/bin/python benchmarks/speed/host.py

The model has two pixels and one hidden unit; N = 50,000, M = 100. `fit` runs with its guard, a
callback and a progress bar. The loop alone runs the same program on minibatches that were gathered
before. They take turns of 100 epochs: with 100 minibatches in a call of the program, as on a CPU,
and with a whole epoch in a call, as on a GPU. Writes host.csv, milliseconds per epoch.
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
from vae_keras.reproduction import provenance

N, M, EPOCHS, TURNS = 50_000, 100, 100, 5


def measured(minibatches: int) -> list[dict]:
    """A row per turn, with so many minibatches in a call."""
    vae = VAE(networks.gaussian_encoder(2, 1, 1), networks.bernoulli_decoder(1, 1, 2))
    vae.compile(steps_per_execution=minibatches)
    x = np.random.default_rng(0).integers(0, 256, size=(N, 2), dtype=np.uint8)
    rows = np.arange(minibatches * M).reshape(-1, M)
    stack = vae.minibatch(tf.convert_to_tensor(x), rows)
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)

    def loop():
        for _ in range(EPOCHS * N // (minibatches * M)):
            logs = vae._loop([(stack, minibatches)])
        return float(logs["loss"])

    def fit():
        with contextlib.redirect_stdout(io.StringIO()):
            vae.fit(x, batch_size=M, epochs=EPOCHS, callbacks=[note])

    vae.fit(x, batch_size=M, verbose=0)
    found = []
    for _ in range(TURNS):
        taken = []
        for program in (loop, fit):
            began = time.perf_counter()
            program()
            taken.append(1e3 * (time.perf_counter() - began) / EPOCHS)
        row = {"minibatches": minibatches, "loop": taken[0], "fit": taken[1]}
        found.append(row | {"beyond": taken[1] - taken[0]})
    return found


def main():
    """Print and write the table; see the module."""
    table = pd.DataFrame([row for k in (100, N // M) for row in measured(k)]).round(2)
    print(table, table.groupby("minibatches").median(), sep="\n")
    table["device"] = provenance.device()
    table.to_csv(common.HERE / "host.csv", index=False)


if __name__ == "__main__":
    main()
