"""Why the paper's wake-sleep never leaves the plateau on Frey Face: an encoder that does not learn.

python benchmarks/plateau.py [--samples 600000] [--seeds 0 1 2] [--only "at rest, step 0.01" ...]

Trains wake-sleep on Frey Face with each N_z of which the paper's points are known: with an encoder
that learns and with one that stays as it begins, with both step sizes. Writes what it is worth at
the paper's own points to plateau.csv, in nats; what is there of more seeds stays.
"""

import argparse
from pathlib import Path

import by_hand
import pandas as pd

from vae_keras.models import LatentVariableModel
from vae_keras.reproduction.experiments import Experiment

SIZES = (2, 5, 10, 20)
TABLE = Path(__file__).with_suffix(".csv")


def at_rest(model: LatentVariableModel) -> None:
    """Its encoder stays as it begins."""
    model.encoder.trainable = False


VARIATIONS = {
    f"{name}, step {step}": (change, step)
    for name, change in (("at rest", at_rest), ("learns", by_hand.unchanged))
    for step in (0.01, 0.02)
}


def main() -> None:
    """Train, and write the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=600_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(VARIATIONS), choices=VARIATIONS)
    asked = parser.parse_args()
    tasks = []
    for name in asked.only:
        change, step = VARIATIONS[name]
        for size in SIZES:
            settings = {"algorithm": "wake_sleep", "samples": asked.samples, "step_size": step}
            curves = [Experiment("frey_face", size, seed=seed, **settings) for seed in asked.seeds]
            tasks += [(name, experiment, change) for experiment in curves]
    found = [by_hand.differences(tasks).drop(columns=["dataset", "algorithm"])]
    if TABLE.exists():
        found.insert(0, pd.read_csv(TABLE))
    row = ["variation", "latent_dim", "split", "samples"]
    table = pd.concat(found).sort_values("seeds", kind="stable")
    table.drop_duplicates(row, keep="last").sort_values(row).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main()
