"""Which weights start at zero: the recipe's curves beside those of models that begin otherwise.

python benchmarks/recipe/zeros.py [--samples 1050000] [--seeds 0 1 2]

In the recipe the weights of the encoder's log variance and all output biases start at 0, and all
other weights are drawn from N(0, 0.01^2). Trains AEVB on MNIST with N_z = 20 and on Frey Face with
N_z = 10 like that, and in three other ways. Writes differences from the paper's own points to
zeros.csv, in nats.
"""

import argparse
from pathlib import Path

import common
import numpy as np

from vae_keras import networks
from vae_keras.models import LatentVariableModel
from vae_keras.reproduction.experiments import Experiment

CURVES = (("mnist", 20), ("frey_face", 10))


class NoZero(common.Changed):
    """The weights of the encoder's log variance start like all others."""

    def change(self, model: LatentVariableModel) -> None:
        kernel = model.encoder.get_layer("log_variance").kernel
        kernel.assign(np.random.default_rng(0).normal(0, networks.STDDEV, kernel.shape))


class MeansFromZero(common.Changed):
    """The weights of the encoder's means start at zero as well."""

    def change(self, model: LatentVariableModel) -> None:
        kernel = model.encoder.get_layer("mean").kernel
        kernel.assign(np.zeros(kernel.shape))


class PixelsFromZero(common.Changed):
    """The weights of all outputs of the decoder start at zero."""

    def change(self, model: LatentVariableModel) -> None:
        kernel = model.decoder.get_layer("parameters").kernel
        kernel.assign(np.zeros(kernel.shape))


VARIATIONS = {
    "recipe": Experiment,
    "log variances not from 0": NoZero,
    "means of q from 0": MeansFromZero,
    "outputs of the decoder from 0": PixelsFromZero,
}


def main() -> None:
    """Train, write the table and print root mean square differences; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_050_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked = parser.parse_args()
    found = common.differences(
        (name, kind(dataset, size, asked.samples, seed=seed))
        for dataset, size in CURVES
        for name, kind in VARIATIONS.items()
        for seed in asked.seeds
    )
    found.to_csv(Path(__file__).with_suffix(".csv"), index=False)
    squares = found.assign(square=found.difference**2)
    worth = squares.groupby(["dataset", "latent_dim", "split", "variation"]).square.mean() ** 0.5
    print(worth.unstack("variation").round(1).to_string())


if __name__ == "__main__":
    main()
