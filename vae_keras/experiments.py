"""One frozen `Experiment` is one curve of the paper; `run_all` trains what is not in the store."""

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd

from vae_keras import networks, store
from vae_keras.callbacks import NonFiniteBoundError, Progress, StopAtSamples
from vae_keras.datasets import Dataset
from vae_keras.models.autoencoder import AutoEncoder
from vae_keras.models.trainer import MOST_MINIBATCHES
from vae_keras.models.vae import VAE
from vae_keras.models.wake_sleep import WakeSleep

RECIPE = 3  # part of every key: raise it when a change to the kit changes the numbers
ALGORITHMS = {"aevb": VAE, "wake_sleep": WakeSleep}
HIDDEN = {"mnist": 500, "mnist_5k": 500, "frey_face": 200, "synthetic_faces": 200}
STEP_SIZES = (0.01, 0.02, 0.1)  # of which the paper chooses
FIRST_FEW = 10  # iterations, after which the step sizes are compared
CHECKPOINT_EVERY_S = 20


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the numbers of one run with the paper's recipe.

    `samples`: training samples to evaluate, rounded up to whole minibatches. `hidden`: units of
    each network, by default the paper's for the data set. `n_train`: learn from the first so many
    training points; None: from all. `step_size`: Adagrad's; None: chosen by the paper's rule, the
    best of 0.01, 0.02 and 0.1 by the training bound after the first few iterations. Raises
    ValueError for an unknown data set or algorithm, or a number below its least.
    """

    dataset: str
    latent_dim: int
    samples: int
    algorithm: str = "aevb"
    hidden: int | None = None
    n_train: int | None = None
    step_size: float | None = None
    seed: int = 0
    batch_size: int = 100
    n_samples: int = 1

    def __post_init__(self):
        for name, known in (("dataset", HIDDEN), ("algorithm", ALGORITHMS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}: one of {', '.join(known)}"
                )
        if self.hidden is None:  # so that the same settings have the same key
            object.__setattr__(self, "hidden", HIDDEN[self.dataset])
        for name, least in (
            ("latent_dim", 1), ("samples", 1), ("hidden", 1), ("n_train", 1), ("batch_size", 1),
            ("n_samples", 1), ("seed", 0),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is None and name == "n_train":
                continue
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is {value!r}, but must be an integer, at least {least}")
        if self.step_size is not None and not self.step_size > 0:
            raise ValueError(f"step_size is {self.step_size!r}, but must be above 0")

    @property
    def key(self) -> str:
        """The name of its folder in the store: readable, then a hash of all settings."""
        settings = json.dumps([RECIPE, dataclasses.asdict(self)])
        digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
        name = self.algorithm.replace("_", "-")
        return f"{name}-{self.dataset}-{self.latent_dim}d-{self.samples}-{digest}"

    @property
    def title(self) -> str:
        """For progress and tables."""
        seed = f", seed {self.seed}" if self.seed else ""
        return f"{self.algorithm} {self.dataset} N_z={self.latent_dim}{seed}"

    def training_set(self, data: Dataset) -> np.ndarray:
        """What it learns from. Raises ValueError where `data` are others, or too few."""
        if data.name != self.dataset:
            raise ValueError(f"the experiment is on {self.dataset!r}, the data on {data.name!r}")
        if self.n_train is not None and self.n_train > len(data.x_train):
            raise ValueError(
                f"n_train is {self.n_train}, but {data.name} has {len(data.x_train)} training "
                "points"
            )
        return data.x_train[: self.n_train]

    def build(self, data: Dataset) -> AutoEncoder:
        """The untrained, compiled model of appendix C for `data`, with the MAP term."""
        keras.utils.set_random_seed(self.seed)
        n, pixels = self.training_set(data).shape
        digits = self.dataset.startswith("mnist")
        decoder = networks.bernoulli_decoder if digits else networks.gaussian_decoder
        model = ALGORITHMS[self.algorithm](
            networks.gaussian_encoder(pixels, self.hidden, self.latent_dim),
            decoder(self.latent_dim, self.hidden, pixels),
            n_samples=self.n_samples,
            weight_decay=1 / n,
            name=self.algorithm,
        )
        # Keras starts the sum of squared gradients at 0.1. The paper does not say where it starts
        # it; from 0, the huge first steps cost MNIST at N_z = 3 ten nats after 10^6 samples.
        optimizer = keras.optimizers.Adagrad(self.step_size or STEP_SIZES[0])
        # `fit` can only end where an execution does: an even part of the last, unfinished epoch.
        rest = -(-(self.samples % n) // self.batch_size)
        at_once = max(k for k in range(1, MOST_MINIBATCHES + 1) if rest % k == 0)
        model.compile(optimizer, steps_per_execution=at_once)
        optimizer.build(model.trainable_variables)
        return model

    @property
    def recorded_at(self) -> list[int]:
        """Training samples evaluated at which the bounds are taken, evenly on a log scale.

        From 10^5 on (or a tenth of the run, where that is less), ten a decade for 10^7 samples and
        two below: the bounds of the full sets take as long as training on 40,000 samples.
        """
        first = min(10**5, max(1, self.samples // 10))
        per_decade = 10 if self.samples >= 10**7 else 2
        points = round(math.log10(self.samples / first) * per_decade)
        return [round(p) for p in np.geomspace(first, self.samples, points + 1)]


@dataclass(frozen=True)
class Run:
    """A finished run: the record of it, the data it learned from, and the trained model.

    `record`: `experiment`, the settings; `step_size` and, where the rule chose it, `trials`, the
    bound in nats that each candidate had reached on (up to 10,000) training points; `training_s`;
    and `bounds`, a list of rows in figure 2's columns (dataset, latent_dim, algorithm, split,
    samples, lower_bound, seed).
    """

    experiment: Experiment
    data: Dataset
    record: dict

    @functools.cached_property
    def model(self) -> AutoEncoder:
        """The trained model, loaded when it is first asked for."""
        return store.load_model(self.experiment.key)

    @property
    def samples(self) -> int:
        """Training samples evaluated."""
        return self.record["bounds"][-1]["samples"]


def run(experiment: Experiment, data: Dataset) -> Run:
    """The finished run of one experiment; see `run_all`."""
    return run_all([(experiment, data)])[0]


def run_all(chosen: Iterable[tuple[Experiment, Dataset]]) -> list[Run]:
    """Train what is not in the store, or not to its end, and return all finished runs, in order.

    What another process trains is left to it, and waited for when nothing else is left to do.
    Raises ValueError for an experiment that does not fit its data, before any training, and
    StoreError for what cannot be read or written.
    """
    chosen = list(chosen)
    for experiment, data in chosen:
        experiment.training_set(data)
    waiting = False
    while missing := [(e, d) for e, d in chosen if store.read_record(e.key) is None]:
        trained = False
        for experiment, data in missing:
            done = len(chosen) - sum(store.read_record(e.key) is None for e, _ in chosen)
            with store.claim(experiment.key) as mine:
                if mine and store.read_record(experiment.key) is None:
                    _train(experiment, data, f"[{done + 1}/{len(chosen)}] {experiment.title}")
                    trained = True
        if not trained:
            if not waiting:
                print(f"another process trains {missing[0][0].title}: waiting for it", flush=True)
            waiting = True
            time.sleep(1)
    return [Run(e, d, _checked(e, store.read_record(e.key))) for e, d in chosen]


def _checked(experiment, record):
    if record.get("experiment") != dataclasses.asdict(experiment):
        raise store.StoreError(
            f"{store.runs_folder() / experiment.key} holds the run of other settings. "
            f"`python -m vae_keras runs --drop {experiment.key}` deletes it"
        )
    return record


def _train(experiment: Experiment, data: Dataset, title: str) -> None:
    model, x = experiment.build(data), experiment.training_set(data)
    record = store.restore(experiment.key, model)
    if record is None:
        record = {
            "experiment": dataclasses.asdict(experiment),
            "recipe": RECIPE,
            "training_s": 0.0,
            "bounds": [],
        }
        record |= _choose_step_size(experiment, model, x)
    model.fit(
        x,
        batch_size=experiment.batch_size,
        epochs=-(-experiment.samples // len(x)),
        initial_epoch=model.samples // len(x),
        verbose=0,
        callbacks=[
            StopAtSamples(experiment.samples),
            _Recorder(experiment, {"train": x, "test": data.x_test}, record),
            Progress(experiment.samples, title),
        ],
    )
    store.finish(experiment.key, model, record)


def _choose_step_size(experiment, model, x) -> dict:
    """The paper's rule, with its evidence; `model` is left as it was, but with that step size."""
    if experiment.step_size is not None:
        return {"step_size": experiment.step_size}
    variables = [*model.variables, *model.optimizer.variables]
    before = [variable.numpy() for variable in variables]
    trials = {}
    for step_size in STEP_SIZES:
        model.optimizer.learning_rate.assign(step_size)
        try:
            model.fit(
                x,
                batch_size=experiment.batch_size,
                steps_per_epoch=min(FIRST_FEW, -(-len(x) // experiment.batch_size)),
                verbose=0,
            )
            bound = float(model.elbo(x[:10_000]).mean())
        except NonFiniteBoundError:
            bound = -math.inf
        trials[str(step_size)] = round(bound, 2) if math.isfinite(bound) else None
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    best = max(STEP_SIZES, key=lambda s: -math.inf if (b := trials[str(s)]) is None else b)
    model.optimizer.learning_rate.assign(best)
    return {"step_size": best, "trials": trials}


class _Recorder(keras.callbacks.Callback):
    """Takes the bounds at the samples of `recorded_at`; a checkpoint at the end of some epochs."""

    def __init__(self, experiment: Experiment, splits: dict[str, np.ndarray], record: dict):
        super().__init__()
        self.experiment, self.splits, self.record = experiment, splits, record

    def on_train_begin(self, logs=None):
        self._stored_at = self._began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        samples, rows = self.model.samples, self.record["bounds"]
        last = rows[-1]["samples"] if rows else 0
        if not any(last < point <= samples for point in self.experiment.recorded_at):
            return
        for split, x in self.splits.items():
            rows.append(
                {
                    "dataset": self.experiment.dataset,
                    "latent_dim": self.experiment.latent_dim,
                    "algorithm": self.experiment.algorithm,
                    "split": split,
                    "samples": samples,
                    "lower_bound": round(float(self.model.elbo(x).mean()), 2),
                    "seed": self.experiment.seed,
                }
            )

    def on_epoch_end(self, epoch, logs=None):
        # Only after whole epochs: what follows then follows from the model's counters alone.
        if self.model.stop_training:
            return
        if time.perf_counter() - self._stored_at > CHECKPOINT_EVERY_S:
            self._count_time()
            store.checkpoint(self.experiment.key, self.model, self.record)
            self._stored_at = time.perf_counter()

    def on_train_end(self, logs=None):
        self._count_time()

    def _count_time(self):
        now = time.perf_counter()
        self.record["training_s"] = round(self.record["training_s"] + now - self._began, 1)
        self._began = now


def combinations(data: Dataset, **settings) -> list[tuple[Experiment, Dataset]]:
    """The experiments on `data`, one for each combination of the settings given as lists."""
    lists = [value if isinstance(value, list) else [value] for value in settings.values()]
    return [
        (Experiment(data.name, **dict(zip(settings, values, strict=True))), data)
        for values in itertools.product(*lists)
    ]


def step_sizes(runs: Iterable[Run]) -> pd.DataFrame:
    """The step size of each run, and the bounds in nats by which the paper's rule chose it."""
    rows = []
    for run in runs:
        e, record = run.experiment, run.record
        rows.append(
            {
                "dataset": e.dataset, "latent_dim": e.latent_dim, "algorithm": e.algorithm,
                "seed": e.seed, "step_size": record["step_size"], **record.get("trials", {}),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def table(runs: Iterable[Run], last: bool = False) -> pd.DataFrame:
    """The bounds of `runs` in figure 2's columns, or only those at the last sample of each."""
    return pd.DataFrame(
        [row for run in runs for row in run.record["bounds"][-2 if last else None :]]
    )
