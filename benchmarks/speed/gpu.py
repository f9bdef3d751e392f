"""Training on one GPU: this kit beside JAX, turn by turn.

    python benchmarks/speed/gpu.py                 # JAX installed beside TensorFlow
    python benchmarks/speed/gpu.py --jax PYTHON    # or in an environment that PYTHON runs

The model and the data are those of speed.py. Both begin with the same weights, and must have the
same test bound after the same number of epochs. Writes gpu.csv and gpu.json. Real MNIST only.
"""

import argparse
import statistics
import sys

import common
import pandas as pd
from contenders import BATCH, initial_weights

from vae_keras import datasets


def main() -> None:
    """Run the benchmark; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jax", default=sys.executable, help="the Python that has JAX")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10, help="trained in each turn")
    chosen = parser.parse_args()
    data = datasets.load("mnist")
    contenders = [
        common.Contender(name, data.x_train, initial_weights(0), python=python)
        for name, python in (("Kit", sys.executable), ("Jax", chosen.jax))
    ]
    rows = []
    for turn in range(chosen.rounds + 1):  # the first one compiles
        for contender in contenders:
            rate = chosen.epochs * len(data.x_train) / contender.train(chosen.epochs)
            rows.append((contender.name, turn, round(rate)))
            print(f"turn {turn}: {contender.name:<24} {rate:10,.0f} samples/s", flush=True)
    bounds = common.check(
        {one.name: common.test_bound(one.weights(), data.x_test) for one in contenders}
    )
    table = pd.DataFrame(rows, columns=["contender", "turn", "samples_per_second"])
    table.to_csv(common.HERE / "gpu.csv", index=False)
    rates = {
        name: statistics.median(part.samples_per_second[part.turn > 0])
        for name, part in table.groupby("contender")
    }
    found = {
        "samples_per_second": rates,
        "microseconds_a_step": {name: round(1e6 * BATCH / rate, 1) for name, rate in rates.items()},
        "test_bound_after_all_turns": bounds,
    }
    common.record("gpu", found)


if __name__ == "__main__":
    main()
