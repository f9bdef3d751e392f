"""Which step size the paper's rule chooses, depending on how many iterations "the first few" are.

python benchmarks/recipe/first_iterations.py [--seeds 0]

The paper took the best of 0.01, 0.02 and 0.1 by the training set's bound in the first few
iterations. This trains each of figure 2's curves with each of the three for a thousand iterations
after the warm-up. It prints the bound of the first 10,000 training points during training, in nats,
writes it to first_iterations.csv, and then prints which step size has the best bound.
"""

import argparse
from pathlib import Path

import common
import pandas as pd

from vae_keras import datasets
from vae_keras.reproduction import store
from vae_keras.reproduction.experiments import WARM_UP, Experiment

STEP_SIZES = (0.01, 0.02, 0.1)
SCORED = 10_000  # training points
AFTER = (0, 10, 20, 50, 100, 200, 500, 1000)  # iterations
SIZES = {"mnist": (3, 5, 10, 20, 200), "frey_face": (2, 5, 10, 20)}
ABOUT = ("dataset", "latent_dim", "algorithm", "seed")


def bounds(experiment: Experiment) -> list[dict]:
    """The rows for one curve and one step size."""
    data = datasets.load(experiment.dataset)
    model, x = experiment.build(data), experiment.pixels(experiment.training_set(data)[:SCORED])
    ends = {n: (WARM_UP + n) * experiment.batch_size for n in AFTER}
    rows = []
    with common.trained(experiment, set(ends.values())):
        for iterations, samples in ends.items():
            model.set_weights(store.load_model(experiment.key, samples).get_weights())
            row = {name: getattr(experiment, name) for name in ABOUT}
            row |= {"iterations": iterations, "step_size": experiment.step_size}
            rows.append(row | {"train": round(float(model.score(x).mean()), 2)})
    return rows


def main() -> None:
    """Print the tables; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    chosen = [
        Experiment(dataset, size, 10**6, algorithm, seed=seed, step_size=step_size)
        for dataset, sizes in SIZES.items()
        for size in sizes
        for algorithm in ("aevb", "wake_sleep")
        for seed in asked.seeds
        for step_size in STEP_SIZES
    ]
    table = pd.DataFrame([row for rows in common.each(bounds, chosen) for row in rows])
    table.to_csv(Path(__file__).with_suffix(".csv"), index=False)
    curve = ["dataset", "latent_dim", "algorithm"]
    print(table.pivot_table("train", [*curve, "step_size"], "iterations").round(1).to_string())
    best = table.loc[table.groupby([*curve, "seed", "iterations"]).train.idxmax()]
    print(best.pivot_table("step_size", curve, "iterations").to_string())


if __name__ == "__main__":
    main()
