"""Which step size the paper's rule chooses, by how many iterations "the first few" are.

python benchmarks/first_iterations.py [--seeds 0]

The paper took the best of 0.01, 0.02 and 0.1 by the training set's bound in the first few
iterations. This trains each of figure 2's curves with each of the three for a thousand iterations
after the warm-up, and prints, and writes to first_iterations.csv, the bound in nats of the first
10,000 training points along the way; and then which step size has the best.
"""

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

from vae_keras import datasets
from vae_keras.callbacks import NonFiniteBoundError
from vae_keras.reproduction import executor
from vae_keras.reproduction.experiments import WARM_UP, Experiment

STEP_SIZES = (0.01, 0.02, 0.1)
SCORED = 10_000  # training points
AFTER = (10, 20, 50, 100, 200, 500, 1000)  # iterations
SIZES = {"mnist": (3, 5, 10, 20, 200), "frey_face": (2, 5, 10, 20)}


def bounds(experiment: Experiment, step_size: float) -> list[dict]:
    """The rows of one curve and one step size."""
    data = datasets.load(experiment.dataset)
    model, x = experiment.build(data), experiment.pixels(experiment.training_set(data))
    rows, done = [], 0
    for iterations in (0, *AFTER):
        steps = WARM_UP if iterations == 0 else iterations - done
        model.optimizer.learning_rate.assign(step_size if iterations else 0.0)
        try:
            model.fit(
                x,
                batch_size=experiment.batch_size,
                shuffle=experiment.order,
                steps_per_epoch=steps,
                verbose=0,
            )
        except NonFiniteBoundError:
            break
        done = iterations
        about = (experiment.dataset, experiment.latent_dim, experiment.algorithm, experiment.seed)
        names = ("dataset", "latent_dim", "algorithm", "seed")
        score = round(float(model.score(x[:SCORED]).mean()), 2)
        rows.append(
            dict(zip(names, about, strict=True))
            | {"iterations": iterations, "step_size": step_size, "train": score}
        )
    return rows


def main() -> None:
    """Print the tables; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    chosen = [
        (Experiment(dataset, size, 10**6, algorithm, seed=seed), step_size)
        for dataset, sizes in SIZES.items()
        for size in sizes
        for algorithm in ("aevb", "wake_sleep")
        for seed in asked.seeds
        for step_size in STEP_SIZES
    ]
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, executor.n_jobs()), spawn) as pool:
        found = [row for rows in pool.map(bounds, *zip(*chosen, strict=True)) for row in rows]
    table = pd.DataFrame(found)
    table.to_csv(Path(__file__).with_name("first_iterations.csv"), index=False)
    curve = ["dataset", "latent_dim", "algorithm"]
    print(table.pivot_table("train", [*curve, "step_size"], "iterations").round(1).to_string())
    best = table.loc[table.groupby([*curve, "seed", "iterations"]).train.idxmax()]
    print(best.pivot_table("step_size", curve, "iterations").to_string())


if __name__ == "__main__":
    main()
