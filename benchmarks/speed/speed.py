"""Training speed of this kit beside its peers, alternating, in one run.

    .venv/bin/pip install -r benchmarks/speed/requirements.txt
    .venv/bin/python benchmarks/speed/speed.py

Each contender has its own process and trains only when it is its turn. First all train one epoch
with a small step size, from the same weights, which the kit has trained for three epochs. They must
reach the same test bound. Then they take turns. Writes speed.csv, .png and .json. Real MNIST
only.
"""

import argparse
import importlib.util
import time

import common
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from contenders import BATCH, CONTENDERS, HIDDEN, LATENT, PIXELS, STEP_SIZE, initial_weights
from matrix_products import operations, products_rate

from vae_keras import datasets
from vae_keras.reproduction import style

NEEDS = {"Jax": "jax", "TorchEager": "torch", "TorchCompiled": "torch"}


def trained(name, x_train, weights, step_size, epochs) -> list[np.ndarray]:
    """The weights after `epochs` epochs."""
    contender = common.Contender(name, x_train, weights, step_size)
    contender.train(epochs)
    contender.end()
    return contender.weights()


def main():
    """Run the benchmark; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="trained in each turn")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    chosen = parser.parse_args()
    data, contenders, bounds = datasets.load("mnist"), [], {}
    warm = trained("Kit", data.x_train, initial_weights(0), STEP_SIZE, 3)
    for name in chosen.only:
        if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
            print(f"{CONTENDERS[name].name}: left out, {NEEDS[name]} is not installed")
            continue
        # With the paper's step size the noise alone moves the bound of an epoch by two nats.
        tried = trained(name, data.x_train, warm, STEP_SIZE / 20, 1)
        began = time.perf_counter()
        contender = common.Contender(name, data.x_train, warm)
        contender.train(1)
        contenders.append(contender)
        bounds[contender.name] = common.test_bound(tried, data.x_test)
        print(
            f"{contender.name}: test bound after the check epoch {bounds[contender.name]:.2f} "
            f"nats, first epoch {time.perf_counter() - began:.0f} s after the start",
            flush=True,
        )
    bounds = common.check(bounds)

    rows = []
    for turn in range(chosen.rounds):
        rows.append(("matrix products alone", turn, products_rate(BATCH, PIXELS, HIDDEN, LATENT)))
        for contender in contenders:
            rate = chosen.epochs * len(data.x_train) / contender.train(chosen.epochs)
            rows.append((contender.name, turn, rate))
            print(f"turn {turn + 1}: {contender.name:<24} {rate:8,.0f} samples/s", flush=True)
    table = pd.DataFrame(rows, columns=["contender", "turn", "samples_per_second"])
    write(table, chosen, bounds)


def write(table, chosen, bounds):
    """Write the table and the plot, and print medians."""
    summary = table.groupby("contender", sort=False).samples_per_second.agg(
        ["median", "min", "max"]
    )
    summary = summary.sort_values("median", ascending=False).round().astype(int)
    of_products = operations(BATCH, PIXELS, HIDDEN, LATENT) / BATCH
    summary["GFLOP/s"] = (summary["median"] * of_products / 1e9).round(1)  # of the products alone
    print(f"\n{summary}")
    table.to_csv(common.HERE / "speed.csv", index=False, float_format="%.0f")
    found = {"rounds": chosen.rounds, "epochs_a_turn": chosen.epochs}
    record = common.record("speed", found | {"test_bound_after_the_check_epoch": bounds})
    with style.context():
        figure, axes = plt.subplots(figsize=(6.5, 2.8))
        sns.barplot(
            table, y="contender", x="samples_per_second", order=summary.index, estimator="median",
            errorbar=("pi", 100), color=sns.color_palette("colorblind")[0], ax=axes,
        )  # fmt: skip
        axes.set(xlabel="training samples a second (median, min, max)", ylabel="")
        axes.set_title(f"784-500-20, M = 100, MNIST; {record['device']}")
        figure.savefig(common.HERE / "speed.png")


if __name__ == "__main__":
    main()
