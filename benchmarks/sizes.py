"""Training speed of `VAE.fit` at other sizes, each beside its matrix products alone.

    .venv/bin/python benchmarks/sizes.py

Also the time from the start of a process to the end of its first executions of training steps, and
the peak memory of training on MNIST. Writes benchmarks/sizes.csv. Real data only.
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import resource
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from matrix_products import products_rate

SIZES = [  # data set, batch, hidden, latent
    ("mnist", 100, 500, 20),
    ("mnist", 500, 500, 20),
    ("mnist", 5000, 500, 20),
    ("mnist", 100, 100, 20),
    ("mnist", 100, 1000, 20),
    ("mnist", 100, 2000, 20),
    ("mnist", 100, 500, 2),
    ("mnist", 100, 500, 200),
    ("frey_face", 100, 200, 2),
    ("frey_face", 100, 200, 20),
]


def build(name, hidden, latent):
    """The untrained, compiled model of appendix C, and its training set."""
    from vae_keras import VAE, datasets, networks

    data = datasets.load(name)
    n, pixels = data.x_train.shape
    decoder = networks.bernoulli_decoder if name == "mnist" else networks.gaussian_decoder
    encoder = networks.gaussian_encoder(pixels, hidden, latent)
    vae = VAE(encoder, decoder(latent, hidden, pixels), weight_decay=1 / n)
    vae.compile()
    return vae, data.x_train


def measure(name, batch, hidden, latent) -> dict:
    """Samples a second of `fit` after compiling, and of the matrix products, in turn."""
    vae, x = build(name, hidden, latent)
    vae.fit(x, batch_size=batch, verbose=0)
    ours, bound = [], []
    for _ in range(3):
        bound.append(products_rate(batch, x.shape[1], hidden, latent, 1 + (name != "mnist")))
        samples, began, epochs = vae.samples, time.perf_counter(), -(-60_000 // len(x))
        vae.fit(x, batch_size=batch, epochs=epochs, verbose=0)
        ours.append((vae.samples - samples) / (time.perf_counter() - began))
    ours, bound = sorted(ours)[1], sorted(bound)[1]
    return {
        "dataset": name, "batch_size": batch, "hidden": hidden, "latent_dim": latent,
        "samples_per_second": round(ours), "products_alone": round(bound),
        "ratio": round(ours / bound, 2),
    }  # fmt: skip


START = """
import sys; sys.path.insert(0, sys.argv[1])
import sizes
vae, x = sizes.build("mnist", 500, 20)
vae.fit(x[:10_000], verbose=0)
"""
MEMORY = START + "vae.fit(x, epochs=2, verbose=0, validation_data=x[:10_000])\n"


def main():
    """Print and write the table; see the module."""
    here = str(Path(__file__).parent)
    for what, code in (("tensorflow", "import tensorflow"), ("vae_keras", "import vae_keras")):
        print(f"import {what}: {seconds([sys.executable, '-c', code]):.1f} s")
    start = seconds([sys.executable, "-c", START, here])
    print(f"process start to 100 finished training steps, MNIST 784-500-20: {start:.1f} s")
    seconds([sys.executable, "-c", MEMORY, here])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"peak memory of training on MNIST: {peak:.2f} GiB", flush=True)
    rows = []
    for size in SIZES:
        rows.append(measure(*size))
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(Path(__file__).with_name("sizes.csv"), index=False)
    print(table.to_string(index=False))


def seconds(command) -> float:
    """How long `command` takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
