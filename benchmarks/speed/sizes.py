"""Training speed of `VAE.fit` at other sizes, each beside its matrix products alone.

    .venv/bin/python benchmarks/speed/sizes.py

Also how long it takes to import the kit, to finish the first training steps of a new process, to
evaluate and to sample, and the peak memory of training on MNIST. Writes sizes.csv and sizes.json.
Real data only.
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import resource
import subprocess
import sys
import time

import common
import numpy as np
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
    """Samples per second of `fit` after compiling, and of the matrix products, in turn."""
    vae, x = build(name, hidden, latent)
    vae.fit(x, batch_size=batch, verbose=0)
    ours, bound = [], []
    for _ in range(3):
        bound.append(products_rate(batch, x.shape[1], hidden, latent, 1 + (name != "mnist")))
        samples, began, epochs = vae.samples_evaluated, time.perf_counter(), -(-60_000 // len(x))
        vae.fit(x, batch_size=batch, epochs=epochs, verbose=0)
        ours.append((vae.samples_evaluated - samples) / (time.perf_counter() - began))
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


def whole_processes() -> dict:
    """Seconds, and GiB, that a new process needs."""
    here, imports = str(common.HERE), {}
    for _ in range(3):  # in turn; the best counts, as the first fills the disk's cache
        for what in ("tensorflow", "vae_keras"):
            taken = seconds([sys.executable, "-c", f"import {what}"])
            imports[what] = min(taken, imports.get(what, taken))
    start = seconds([sys.executable, "-c", START, here])
    seconds([sys.executable, "-c", MEMORY, here])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return {
        "import_tensorflow_s": round(imports["tensorflow"], 1),
        "import_vae_keras_s": round(imports["vae_keras"], 1),
        "start_of_process_to_100_training_steps_s": round(start, 1),
        "peak_memory_of_training_gib": round(peak, 2),
    }


def using_it() -> dict:
    """Seconds to use a 784-500-20 model after compiling, the median of five."""
    vae, x = build("mnist", 500, 20)
    x = np.concatenate([x, x])[:60_000]
    calls = {
        "evaluate_60000_s": lambda: vae.evaluate(x, verbose=0),
        "predict_60000_s": lambda: vae.predict(x, verbose=0),
        "sample_10000_s": lambda: vae.sample(10_000),
    }
    taken = {name: [] for name in calls}
    for turn in range(6):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if turn:
                taken[name].append(time.perf_counter() - began)
    return {name: round(sorted(values)[2], 2) for name, values in taken.items()}


def main():
    """Print and write the tables; see the module."""
    common.record("sizes", whole_processes() | using_it())
    rows = []
    for size in SIZES:
        rows.append(measure(*size))
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(common.HERE / "sizes.csv", index=False)


def seconds(command) -> float:
    """How long `command` takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
