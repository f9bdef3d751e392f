"""What each open setting of the paper's recipe is worth: ours against the paper's own points.

python benchmarks/recipe.py [--samples 1050000] [--seeds 0] [--only NAME ...]

Trains figure 2's panels that the paper's points are known of, once a variation and a seed, and
writes recipe.csv: a row a variation and a curve, the root mean square difference from the paper at
its points up to `--samples`, test and running, in nats, and the spread over seeds. Runs that are in
the store are not trained again.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from vae_keras import datasets
from vae_keras.reproduction import paper, runs
from vae_keras.reproduction.experiments import Experiment

PANELS = [("mnist", size) for size in (3, 10, 20, 200)] + [
    ("frey_face", size) for size in (2, 10, 20)
]
VARIATIONS = {
    "step 0.01": {"step_size": 0.01},
    "step 0.02": {"step_size": 0.02},
    "step 0.01, warm-up 10": {"step_size": 0.01, "warm_up": 10},
    "step 0.01, warm-up 200": {"step_size": 0.01, "warm_up": 200},
    "step 0.02, warm-up 200": {"step_size": 0.02, "warm_up": 200},
    "step 0.02, weights 0.1": {"step_size": 0.02, "deviation": 0.1},
    "step 0.01, passes": {"step_size": 0.01, "order": "passes"},
    "step 0.01, M = 100": {"step_size": 0.01, "batch_size": 100},
    "step 0.01, N = 60,000": {"step_size": 0.01, "n_train": 60_000},
}


def experiments(variation: str, samples: int, seeds: list[int]) -> list[Experiment]:
    """Those of a variation that differ from the recipe's, a panel, an algorithm and a seed each."""
    changed = VARIATIONS[variation]
    return [
        Experiment(dataset, size, samples, algorithm, seed=seed, **changed)
        for dataset, size in PANELS
        for algorithm in ("aevb", "wake_sleep")
        for seed in seeds
        if not (dataset == "mnist" and "batch_size" in changed)  # which has 100
        and not (dataset == "frey_face" and "n_train" in changed)
    ]


def main() -> None:
    """Train what is missing, and write the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_050_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=list(VARIATIONS))
    parser.add_argument("--panels", nargs="+", help="such as mnist-20; by default all")
    parser.add_argument("--algorithms", nargs="+", default=["aevb", "wake_sleep"])
    asked = parser.parse_args()
    data = {name: datasets.load(name) for name in ("mnist", "frey_face")}
    chosen = [
        (variation, e)
        for variation in asked.only
        for e in experiments(variation, asked.samples, asked.seeds)
        if not asked.panels or f"{e.dataset}-{e.latent_dim}" in asked.panels
        if e.algorithm in asked.algorithms
    ]
    found = runs.run_all([(e, data[e.dataset]) for _, e in chosen])
    names = {dataclasses.replace(e, samples=1): v for v, e in chosen}
    tables = []
    for variation in asked.only:
        of_it = [
            r for r in found if names[dataclasses.replace(r.experiment, samples=1)] == variation
        ]
        if of_it:
            table = paper.differences(runs.table(of_it))
            tables.append(table.assign(variation=variation))
    pd.set_option("display.width", 200, "display.max_rows", 999)
    table = pd.concat(tables)
    table.to_csv(Path(__file__).with_name("recipe.csv"), index=False)
    curve = ["dataset", "latent_dim", "algorithm", "split"]
    rms = table.groupby(["variation", *curve]).difference.agg(lambda d: np.sqrt(np.mean(d**2)))
    print(rms.unstack(["variation"]).round(1).to_string())


if __name__ == "__main__":
    main()
