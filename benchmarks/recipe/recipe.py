"""The effect of each open setting of the paper's recipe: ours against the paper's own points.

python benchmarks/recipe/recipe.py [--figure 3] [--samples 1050000] [--seeds 0 1 2] [--only NAME]

Trains the curves of figure 2 or 3 for which the paper's points are known, once for each variation
of the recipe and each seed. Prints root mean square differences from the paper at its points up to
`--samples`, in nats. The differences go to recipe.csv or recipe_figure3.csv. They replace those of
the same variation and curve, unless those are of more seeds. Runs in the store are not trained
again.
"""

import argparse
from pathlib import Path

import common
import numpy as np
import pandas as pd

from vae_keras import datasets
from vae_keras.reproduction import paper, runs
from vae_keras.reproduction.experiments import Experiment

CHANGES = {
    "step 0.01": {"step_size": 0.01},
    "step 0.02": {"step_size": 0.02},
    "step 0.1": {"step_size": 0.1},
    "step 0.01, warm-up 10": {"step_size": 0.01, "warm_up": 10},
    "step 0.01, warm-up 200": {"step_size": 0.01, "warm_up": 200},
    "step 0.02, warm-up 10": {"step_size": 0.02, "warm_up": 10},
    "step 0.02, warm-up 200": {"step_size": 0.02, "warm_up": 200},
    "step 0.01, weights 0.1": {"step_size": 0.01, "stddev": 0.1},
    "step 0.02, weights 0.1": {"step_size": 0.02, "stddev": 0.1},
    "step 0.01, passes": {"step_size": 0.01, "order": "passes"},
    "step 0.02, passes": {"step_size": 0.02, "order": "passes"},
    "step 0.02, M = 100": {"step_size": 0.02, "batch_size": 100},
    "step 0.02, N = 60,000": {"step_size": 0.02, "n_train": 60_000},
}
# "slow": the weights of the encoder's log variance are multiplied by a tenth.
VARIATIONS = {
    name + suffix: changed | {"log_variance_scale": scale}
    for suffix, scale in (("", 1.0), (", slow", 0.1))
    for name, changed in CHANGES.items()
}
# Monte Carlo EM has no encoder. It has minibatches as the others, or all points in each step.
OF_MCEM: dict[str, dict] = {
    f"step {step}, M = 100, warm-up {updates}": {
        "step_size": step, "batch_size": 100, "order": "replacement", "warm_up": updates,
    }
    for step in (0.01, 0.02, 0.1) for updates in (100, 500)
} | {
    f"step {step}, all points, warm-up {updates}": {"step_size": step, "warm_up": updates}
    for step, updates in ((0.02, 0), (0.1, 0), (0.1, 10), (0.1, 50))
}  # fmt: skip
CURVE = ["dataset", "n_train", "latent_dim", "algorithm", "split"]


def curves(figure: int) -> list[dict]:
    """The settings of each curve of the figure for which the paper's points are known."""
    if figure == 3:
        about = {"dataset": "mnist", "n_train": 1000, "latent_dim": 3, "hidden": 100}
        measure = {"measure": "marginal_log_likelihood"}
        return [about | measure | {"algorithm": a} for a in ("aevb", "wake_sleep", "mcem")]
    known = paper.figure2()[["dataset", "latent_dim", "algorithm"]].drop_duplicates()
    return known.to_dict("records")


def main() -> None:
    """Train the missing runs, and write the table; see the module."""
    names = [*VARIATIONS, *OF_MCEM]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", type=int, choices=(2, 3), default=2)
    parser.add_argument("--samples", type=int, default=1_050_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=names, choices=names)
    parser.add_argument("--panels", nargs="+", help="such as mnist-20; by default all")
    parser.add_argument("--algorithms", nargs="+", default=["aevb", "wake_sleep", "mcem"])
    parser.add_argument("--table", help="instead of recipe.csv, or recipe_figure3.csv")
    asked = parser.parse_args()
    data = {name: datasets.load(name) for name in ("mnist", "frey_face")}
    chosen = {
        Experiment(**curve | changed, samples=asked.samples, seed=seed): name
        for name, changed in (VARIATIONS | OF_MCEM).items()
        for curve in curves(asked.figure)
        for seed in asked.seeds
        if name in asked.only and curve["algorithm"] in asked.algorithms
        if (curve["algorithm"] == "mcem") == (name in OF_MCEM)
        if not asked.panels or f"{curve['dataset']}-{curve['latent_dim']}" in asked.panels
        # MNIST has M = 100
        if not (name in VARIATIONS and "batch_size" in changed and curve["dataset"] == "mnist")
        if not ((asked.figure == 3 or curve["dataset"] == "frey_face") and "n_train" in changed)
    }
    found = runs.run_all([(experiment, data[experiment.dataset]) for experiment in chosen])
    tables = []
    for name in asked.only:
        of_it = [run for run in found if chosen[run.experiment] == name]
        if of_it:
            table = paper.differences(runs.table(of_it))
            tables.append(table.assign(variation=name, seeds=len(asked.seeds)))
    suffix = "_figure3" if asked.figure == 3 else ""
    file = Path(__file__).with_name(asked.table or f"recipe{suffix}.csv")
    new = pd.concat(tables)
    curve = [name for name in CURVE if name in new]
    table = common.update(file, new, ["variation", *curve, "samples"])
    worth = table.groupby(["variation", *curve]).difference.agg(lambda d: np.sqrt(np.mean(d**2)))
    print(worth.unstack("variation").round(1).to_string())


if __name__ == "__main__":
    main()
