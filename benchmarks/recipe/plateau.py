"""Why the paper's wake-sleep never leaves the plateau on Frey Face: an encoder that does not learn.

python benchmarks/recipe/plateau.py [--samples 600000] [--seeds 0 1 2] [--only NAME ...]

Trains wake-sleep on Frey Face with each N_z and both step sizes, with an encoder that learns and
with one that keeps its initial weights. Writes the differences from the paper at its own points to
plateau.csv, in nats. Rows of more seeds that are there already are kept.
"""

import argparse
from pathlib import Path

import common

from vae_keras.models import LatentVariableModel
from vae_keras.reproduction.experiments import Experiment

SIZES = (2, 5, 10, 20)


class AtRest(common.Changed):
    """Its encoder keeps its initial weights."""

    def change(self, model: LatentVariableModel) -> None:
        model.encoder.trainable = False


VARIATIONS = {
    f"{name}, step {step}": (kind, step)
    for name, kind in (("at rest", AtRest), ("learns", Experiment))
    for step in (0.01, 0.02)
}


def main() -> None:
    """Train, and write the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=600_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(VARIATIONS), choices=VARIATIONS)
    asked = parser.parse_args()
    found = common.differences(
        (name, kind("frey_face", size, asked.samples, "wake_sleep", step_size=step, seed=seed))
        for name, (kind, step) in VARIATIONS.items()
        if name in asked.only
        for size in SIZES
        for seed in asked.seeds
    ).drop(columns=["dataset", "algorithm"])
    row = ["variation", "latent_dim", "split", "samples"]
    common.update(Path(__file__).with_suffix(".csv"), found, row)


if __name__ == "__main__":
    main()
