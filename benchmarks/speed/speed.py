"""Training speed of this kit beside its peers, alternating, in one run.

    .venv/bin/pip install -r benchmarks/speed/requirements.txt
    .venv/bin/python benchmarks/speed/speed.py

Each contender lives in a process of its own and trains only when it is its turn. First all train
one epoch from the same weights, which the kit has trained for three, with a small step size, and
must reach the same test bound; then they take turns. Writes speed.csv, .png and .json. Real MNIST
only.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from contenders import (
    BATCH,
    CONTENDERS,
    HIDDEN,
    LATENT,
    PIXELS,
    STEP_SIZE,
    Kit,
    initial_weights,
)
from matrix_products import operations, products_rate

HERE = Path(__file__).parent
NEEDS = {"Jax": "jax", "TorchEager": "torch", "TorchCompiled": "torch"}


def work(name, x_train, weights, step_size, pipe):
    """Train `epochs` at each message, and answer with the seconds; 0 asks for the weights."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.dup2(os.open(HERE / f".{name}.log", os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 1)
    os.dup2(1, 2)
    contender = CONTENDERS[name](x_train, weights, step_size)
    while (epochs := pipe.recv()) is not None:
        if epochs == 0:
            pipe.send(contender.weights())
            continue
        began = time.perf_counter()
        contender.train(epochs)
        pipe.send(time.perf_counter() - began)


def start(name, x_train, weights, step_size=STEP_SIZE):
    """A pipe to a new process that holds a contender."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    arguments = (name, x_train, weights, step_size, there)
    context.Process(target=work, args=arguments, daemon=True).start()
    there.close()
    return here


def weights_of(pipe) -> list[np.ndarray]:
    """The current weights of the contender behind `pipe`."""
    pipe.send(0)
    return pipe.recv()


def test_bound(weights, x_test) -> float:
    """The lower bound in nats by NumPy, the mean over x_test and 10 samples of z."""
    rng, w = np.random.default_rng(0), weights
    x = x_test / np.float32(255)
    mu, log_variance = np.split(np.tanh(x @ w[0] + w[1]) @ w[2] + w[3], 2, axis=-1)
    kl = -0.5 * np.sum(1 + log_variance - mu**2 - np.exp(log_variance), axis=-1).mean()
    reconstruction = []
    for _ in range(10):
        z = mu + np.exp(log_variance / 2) * rng.normal(size=mu.shape)
        logits = np.tanh(z @ w[4] + w[5]) @ w[6] + w[7]
        reconstruction.append(np.sum(x * logits - np.logaddexp(0, logits), axis=-1).mean())
    return float(np.mean(reconstruction) - kl)


def main():
    """Run the benchmark; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="trained in each turn")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    chosen = parser.parse_args()
    from vae_keras import datasets  # here: TensorFlow and PyTorch clash in a child

    data, workers, bounds = datasets.load("mnist"), {}, {}
    first = start(Kit.__name__, data.x_train, initial_weights(0))
    first.send(3)
    first.recv()
    warm = weights_of(first)
    first.send(None)
    for name in chosen.only:
        if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
            print(f"{CONTENDERS[name].name}: left out, {NEEDS[name]} is not installed")
            continue
        try:
            # At the paper's step size the noise alone moves the bound of an epoch by two nats.
            tried = start(name, data.x_train, warm, STEP_SIZE / 20)
            tried.send(1)
            tried.recv()
            bounds[name] = test_bound(weights_of(tried), data.x_test)
            tried.send(None)
            began = time.perf_counter()
            workers[name] = start(name, data.x_train, warm)
            workers[name].send(1)
            workers[name].recv()
        except (EOFError, ConnectionError):
            sys.exit(f"{CONTENDERS[name].name} failed: see {HERE / f'.{name}.log'}")
        print(
            f"{CONTENDERS[name].name}: test bound after the check epoch {bounds[name]:.2f} nats, "
            f"first epoch {time.perf_counter() - began:.0f} s after the start",
            flush=True,
        )
    apart = max(bounds.values()) - min(bounds.values())
    if apart > 1:
        sys.exit(f"the test bounds lie {apart:.2f} nats apart: not the same model, no benchmark")

    rows = []
    for turn in range(chosen.rounds):
        rows.append(("matrix products alone", turn, products_rate(BATCH, PIXELS, HIDDEN, LATENT)))
        for name, pipe in workers.items():
            pipe.send(chosen.epochs)
            rows.append(
                (CONTENDERS[name].name, turn, chosen.epochs * len(data.x_train) / pipe.recv())
            )
            print(f"turn {turn + 1}: {rows[-1][0]:<24} {rows[-1][2]:8,.0f} samples/s", flush=True)
    for pipe in workers.values():
        pipe.send(None)
    table = pd.DataFrame(rows, columns=["contender", "turn", "samples_per_second"])
    write(table, chosen, bounds)


def write(table, chosen, bounds):
    """Write the table and the plot, and print medians."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    from vae_keras import _files
    from vae_keras.reproduction import provenance, style

    summary = table.groupby("contender", sort=False).samples_per_second.agg(
        ["median", "min", "max"]
    )
    summary = summary.sort_values("median", ascending=False).round().astype(int)
    of_products = operations(BATCH, PIXELS, HIDDEN, LATENT) / BATCH
    summary["GFLOP/s"] = (summary["median"] * of_products / 1e9).round(1)  # of products alone
    print(f"\n{summary}")
    table.to_csv(HERE / "speed.csv", index=False, float_format="%.0f")
    record = {
        "command": "python benchmarks/speed/speed.py",
        "rounds": chosen.rounds,
        "epochs_a_turn": chosen.epochs,
        "test_bound_after_the_check_epoch": {
            CONTENDERS[k].name: round(v, 2) for k, v in bounds.items()
        },
        "device": provenance.device(),
        "commit": provenance.commit(),
    }
    _files.replace(HERE / "speed.json", (json.dumps(record, indent=2) + "\n").encode())
    with style.context():
        figure, axes = plt.subplots(figsize=(6.5, 2.8))
        sns.barplot(
            table, y="contender", x="samples_per_second", order=summary.index, estimator="median",
            errorbar=("pi", 100), color=sns.color_palette("colorblind")[0], ax=axes,
        )  # fmt: skip
        axes.set(xlabel="training samples a second (median, min, max)", ylabel="")
        axes.set_title(f"784-500-20, M = 100, MNIST; {record['device']}")
        figure.savefig(HERE / "speed.png")


if __name__ == "__main__":
    main()
