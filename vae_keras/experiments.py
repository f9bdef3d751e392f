"""One frozen `Experiment` is one trained model of the paper; `run` trains it once and stores it."""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import pandas as pd

from vae_keras import networks, paths
from vae_keras.callbacks import Progress, StopAtSamples
from vae_keras.datasets import Dataset
from vae_keras.models.trainer import MOST_MINIBATCHES
from vae_keras.models.vae import VAE

RECIPE = 2  # part of every key: raise it when a change to the kit changes the numbers
HIDDEN = {"mnist": 500, "mnist_5k": 500, "frey_face": 200, "synthetic_faces": 200}


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the numbers of one run of AEVB with the paper's recipe.

    `samples`: training samples to evaluate, rounded up to whole minibatches. `step_size`:
    Adagrad's. Raises ValueError for a data set without an experiment, or a number below its least.
    """

    dataset: str
    latent_dim: int
    samples: int
    seed: int = 0
    step_size: float = 0.02
    batch_size: int = 100
    n_samples: int = 1

    def __post_init__(self):
        if self.dataset not in HIDDEN:
            raise ValueError(f"unknown data set {self.dataset!r}: one of {', '.join(HIDDEN)}")
        for name, least in (
            ("latent_dim", 1), ("samples", 1), ("batch_size", 1), ("n_samples", 1), ("seed", 0)
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is {value!r}, but must be an integer, at least {least}")
        if not self.step_size > 0:
            raise ValueError(f"step_size is {self.step_size!r}, but must be above 0")

    @property
    def key(self) -> str:
        """The name of its folder in the store: readable, then a hash of all settings."""
        settings = json.dumps([RECIPE, dataclasses.asdict(self)])
        digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
        return f"aevb-{self.dataset}-{self.latent_dim}d-{self.samples}-{digest}"

    def build(self, data: Dataset) -> VAE:
        """The untrained, compiled model of appendix C for `data`, with the MAP term."""
        keras.utils.set_random_seed(self.seed)
        pixels, hidden = data.x_train.shape[1], HIDDEN[self.dataset]
        digits = self.dataset.startswith("mnist")
        decoder = networks.bernoulli_decoder if digits else networks.gaussian_decoder
        vae = VAE(
            networks.gaussian_encoder(pixels, hidden, self.latent_dim),
            decoder(self.latent_dim, hidden, pixels),
            n_samples=self.n_samples,
            weight_decay=1 / len(data.x_train),
            name="vae",
        )
        # Keras starts the sum of squared gradients at 0.1. The paper does not say where it starts
        # it; from 0, the huge first steps cost MNIST at N_z = 3 ten nats after 10^6 samples.
        optimizer = keras.optimizers.Adagrad(self.step_size)
        # `fit` can only end where an execution does: an even part of the last, unfinished epoch.
        rest = -(-(self.samples % len(data.x_train)) // self.batch_size)
        at_once = max(k for k in range(1, MOST_MINIBATCHES + 1) if rest % k == 0)
        vae.compile(optimizer, steps_per_execution=at_once)
        return vae


@dataclass(frozen=True)
class Run:
    """A trained model with the data it learned from and its record.

    `record`: `training_s`, seconds of training, and `bounds`, a list of rows in figure 2's columns
    (dataset, latent_dim, algorithm, split, samples, lower_bound, seed).
    """

    experiment: Experiment
    data: Dataset
    model: VAE
    record: dict


def run(experiment: Experiment, data: Dataset) -> Run:
    """Train `experiment` on `data` and store it, or take it from the store if it is there."""
    if data.name != experiment.dataset:
        raise ValueError(f"the experiment is on {experiment.dataset!r}, the data on {data.name!r}")
    folder = paths.results() / "runs" / experiment.key
    if not folder.exists():
        _train_into(folder, experiment, data)
    try:
        record = json.loads((folder / "run.json").read_text())
        model = keras.saving.load_model(folder / "model.keras")
    except (OSError, ValueError, KeyError) as error:
        raise RuntimeError(
            f"the stored run {folder} cannot be read ({error}): delete that folder, and the next "
            "start trains it again"
        ) from error
    return Run(experiment, data, model, record)


def _train_into(folder: Path, experiment: Experiment, data: Dataset) -> None:
    model, began = experiment.build(data), time.perf_counter()
    model.fit(
        data.x_train,
        batch_size=experiment.batch_size,
        epochs=-(-experiment.samples // len(data.x_train)),
        verbose=0,
        callbacks=[
            StopAtSamples(experiment.samples),
            Progress(experiment.samples, f"{data.name}, N_z = {experiment.latent_dim}"),
        ],
    )
    training_s = time.perf_counter() - began
    bounds = [
        {
            "dataset": data.name,
            "latent_dim": experiment.latent_dim,
            "algorithm": "aevb",
            "split": split,
            "samples": model.samples,
            "lower_bound": round(model.evaluate(x, verbose=0, return_dict=True)["elbo"], 2),
            "seed": experiment.seed,
        }
        for split, x in (("train", data.x_train), ("test", data.x_test))
    ]
    record = dataclasses.asdict(experiment) | {
        "recipe": RECIPE,
        "training_s": round(training_s, 1),
        "bounds": bounds,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        model.save(partial / "model.keras")
        (partial / "run.json").write_text(json.dumps(record, indent=2) + "\n")
        os.rename(partial, folder)
    except OSError:
        if not folder.exists():  # where it does, another process stored the same run first
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def bounds_table(runs: list[Run]) -> pd.DataFrame:
    """The bounds of `runs` at their last sample: a row a model and split, figure 2's columns."""
    return pd.DataFrame([row for run in runs for row in run.record["bounds"]])
