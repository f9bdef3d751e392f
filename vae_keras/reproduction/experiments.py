"""One frozen `Experiment` is one curve of the paper; `run_all` trains what is not in the store."""

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import numbers
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd

from vae_keras import networks
from vae_keras.datasets import Dataset
from vae_keras.models.full_vb import FullVB
from vae_keras.models.latent_variable import LatentVariableModel
from vae_keras.models.monte_carlo_em import MonteCarloEM
from vae_keras.models.trainer import MOST_MINIBATCHES
from vae_keras.models.vae import VAE
from vae_keras.models.wake_sleep import WakeSleep
from vae_keras.reproduction import measures, step_size, store, training, version

ALGORITHMS = {"aevb": VAE, "wake_sleep": WakeSleep, "mcem": MonteCarloEM, "full_vb": FullVB}
HIDDEN = {"mnist": 500, "mnist_5k": 500, "frey_face": 200, "synthetic_faces": 200}


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the numbers of one run with the paper's recipe.

    `samples`: training samples to evaluate, rounded up to whole minibatches. `hidden`: units of
    each network, by default the paper's for the data set. `n_train`: learn from the first so many
    training points; None: from all. `step_size`: Adagrad's; None: chosen by the paper's rule, the
    best of 0.01, 0.02 and 0.1 by the training bound after the first few iterations. `measure`: what
    is recorded along the way, the "lower_bound" of the full sets (of runs below 10^7 samples: of
    the first 10,000 points of each) or, by appendix D, the "marginal_log_likelihood" of the first
    1,000 points of each (300, and 100 below 10^5). Raises ValueError for an unknown
    data set, algorithm or measure, or a number below its least.
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
    measure: str = "lower_bound"

    def __post_init__(self):
        for name, known in (
            ("dataset", HIDDEN), ("algorithm", ALGORITHMS), ("measure", measures.MEASURES),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}: one of {', '.join(known)}"
                )
        if self.algorithm == "mcem" and self.measure == "lower_bound":
            raise ValueError(
                "Monte Carlo EM has no encoder, hence no lower bound: "
                "measure='marginal_log_likelihood'"
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
            if not isinstance(value, numbers.Integral) or value < least:
                raise ValueError(f"{name} is {value!r}, but must be an integer, at least {least}")
            object.__setattr__(self, name, int(value))  # True and NumPy's have the key of 1
        if self.step_size is not None:
            if not isinstance(self.step_size, numbers.Real) or not 0 < self.step_size < math.inf:
                raise ValueError(
                    f"step_size is {self.step_size!r}, but must be above 0 and finite, or None"
                )
            object.__setattr__(self, "step_size", float(self.step_size))  # 1 is 1.0

    @property
    def key(self) -> str:
        """The name of its folder in the store: readable, then a hash of all settings.

        A setting at its default is left out, so that a new one leaves the old keys as they are.
        """
        settings = json.dumps(
            [training.RECIPE]
            + [
                (field.name, value)
                for field in dataclasses.fields(self)
                if (value := getattr(self, field.name)) != field.default
            ]
        )
        digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
        name = self.algorithm.replace("_", "-")
        return f"{name}-{self.dataset}-{self.latent_dim}d-{self.samples}-{digest}"

    @property
    def title(self) -> str:
        """For progress and tables."""
        seed = f", seed {self.seed}" if self.seed else ""
        n_train = f", N_train={self.n_train:,}" if self.n_train else ""
        return f"{self.algorithm} {self.dataset} N_z={self.latent_dim}{n_train}{seed}"

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

    def build(self, data: Dataset) -> LatentVariableModel:
        """The untrained, compiled model of appendix C for `data`, with the MAP term."""
        keras.utils.set_random_seed(self.seed)
        n, pixels = self.training_set(data).shape
        hidden = int(self.hidden or HIDDEN[self.dataset])
        digits = self.dataset.startswith("mnist")
        make_decoder = networks.bernoulli_decoder if digits else networks.gaussian_decoder
        common = {"weight_decay": 1 / n, "name": self.algorithm}
        if self.algorithm == "mcem":
            decoder = make_decoder(self.latent_dim, hidden, pixels)
            model = MonteCarloEM(decoder, n, **common)
        else:
            encoder = networks.gaussian_encoder(pixels, hidden, self.latent_dim)
            decoder = make_decoder(self.latent_dim, hidden, pixels)
            if self.algorithm == "full_vb":
                common["n_train"] = n
            algorithm = ALGORITHMS[self.algorithm]
            model = algorithm(encoder, decoder, n_samples=self.n_samples, **common)
        # Keras starts the sum of squared gradients at 0.1. The paper does not say where it starts
        # it; from 0, the huge first steps cost MNIST at N_z = 3 ten nats after 10^6 samples.
        optimizer = keras.optimizers.Adagrad(self.step_size or step_size.STEP_SIZES[0])
        # `fit` can only end where an execution does: an even part of the last, unfinished epoch.
        rest = -(-(self.visits(model) % n) // self.batch_size)
        at_once = max(k for k in range(1, MOST_MINIBATCHES + 1) if rest % k == 0)
        model.compile(optimizer, steps_per_execution=at_once)
        optimizer.build(model.trainable_variables)
        return model

    def visits(self, model: LatentVariableModel) -> int:
        """How many datapoints `model` visits to evaluate `samples`."""
        return -(-self.samples // model.evaluations)

    @property
    def recorded_at(self) -> list[int]:
        """Training samples evaluated at which the measure is taken.

        Of log p(x), for figure 3's linear axis, at each tenth of a run of 10^7, and thrice before;
        eight times in one of 10^6. Of the bound: evenly on a log scale, from 10^5 on (or a tenth of
        the run, where that is less), ten a decade for 10^7 samples, eight in all for 10^6.
        """
        if self.measure == "marginal_log_likelihood":
            parts: tuple[float, ...] = (
                (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1) if self.samples >= 10**6 else (1,)
            )
            if self.samples >= 10**7:
                parts = (0.01, 0.02, 0.05, *(k / 10 for k in range(1, 11)))
            return [round(part * self.samples) for part in parts]
        first = min(10**5, max(1, self.samples // 10))
        per_decade = 10 if self.samples >= 10**7 else 7 if self.samples >= 10**6 else 2
        points = round(math.log10(self.samples / first) * per_decade)
        return [round(p) for p in np.geomspace(first, self.samples, points + 1)]


@dataclass(frozen=True)
class Run:
    """A finished run: the record of it, the data it learned from, and the trained model.

    `record`: `experiment`, the settings; `data_sha256`, a hash of the data's pixels; `made_by`, the
    versions of the kit that trained it, more than one where it went on with another; `step_size`
    and, where the rule chose it, `trials`, the bound in nats that each candidate had reached on (up
    to 10,000) training points; `training_s`; and `curve`, a list of rows: figure 2's columns
    (dataset, latent_dim, algorithm, split, samples, lower_bound, seed), or figure 3's, with
    n_train, and marginal_log_likelihood, its Monte Carlo error and HMC's acceptance in place of the
    bound.
    """

    experiment: Experiment
    data: Dataset
    record: dict

    @functools.cached_property
    def model(self) -> LatentVariableModel:
        """The trained model, loaded when it is first asked for."""
        return store.load_model(self.experiment.key)

    @property
    def samples(self) -> int:
        """Training samples evaluated."""
        return self.record["curve"][-1]["samples"]


def run(experiment: Experiment, data: Dataset) -> Run:
    """The finished run of one experiment; see `run_all`."""
    return run_all([(experiment, data)])[0]


def run_all(chosen: Iterable[tuple[Experiment, Dataset]]) -> list[Run]:
    """Train what is not in the store, or not to its end, and return all finished runs, in order.

    What another process trains is left to it, and waited for when nothing else is left to do. Says
    which of the runs other versions of the kit made. Raises, before any training, ValueError for an
    experiment that does not fit its data, or for none, and StoreError for a run that learned from
    other data of the same name; and StoreError for what cannot be read or written.
    """
    chosen = list(chosen)
    if not chosen:
        raise ValueError(
            "there is no experiment to run: each list of sizes, seeds or algorithms needs a value"
        )
    for experiment, data in chosen:
        experiment.training_set(data)
        if record := store.read_record(experiment.key) or store.read_progress(experiment.key):
            _checked(experiment, data, record)
    waiting = False
    while missing := [(e, d) for e, d in chosen if store.read_record(e.key) is None]:
        trained = False
        for experiment, data in missing:
            done = len(chosen) - sum(store.read_record(e.key) is None for e, _ in chosen)
            with store.claim(experiment.key) as mine:
                if mine and store.read_record(experiment.key) is None:
                    training.train(
                        experiment, data, f"[{done + 1}/{len(chosen)}] {experiment.title}"
                    )
                    trained = True
        if not trained:
            if not waiting:
                print(f"another process trains {missing[0][0].title}: waiting for it", flush=True)
            waiting = True
            time.sleep(1)
    runs = [Run(e, d, _checked(e, d, store.read_record(e.key))) for e, d in chosen]
    _tell_of_others(runs)
    return runs


def _checked(experiment, data, record):
    try:
        found = Experiment(**record["experiment"])  # of an older kit, perhaps with fewer settings
    except (KeyError, TypeError, ValueError):
        found = None
    folder = store.runs_folder() / experiment.key
    drop = f"`python -m vae_keras runs --drop {experiment.key}` deletes it"
    if found != experiment:
        raise store.StoreError(f"{folder} holds the run of other settings. {drop}")
    theirs = record.get("data_sha256", data.sha256)  # an older kit did not say
    if theirs != data.sha256:
        raise store.StoreError(
            f"{folder} holds a run on other data of the name {data.name!r}: their pixels have "
            f"SHA-256 {theirs[:12]}…, these {data.sha256[:12]}…. {drop}; to keep both, let "
            "VAE_KERAS_RESULTS name another folder"
        )
    return record


def _tell_of_others(runs):
    titles = {}
    for run in runs:
        if others := version.others(run.record):
            titles.setdefault(others, []).append(run.experiment.title)
    for others, (first, *more) in titles.items():
        also = f" and {len(more)} more" if more else ""
        print(f"from the store, made by {others}: {first}{also}", flush=True)


def combinations(data: Dataset, **settings: Any) -> list[tuple[Experiment, Dataset]]:
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
                "dataset": e.dataset, "n_train": len(e.training_set(run.data)),
                "latent_dim": e.latent_dim, "algorithm": e.algorithm, "seed": e.seed,
                "step_size": record["step_size"], **record.get("trials", {}),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def table(runs: Iterable[Run], last: bool = False) -> pd.DataFrame:
    """The bounds of `runs` in figure 2's columns, or only those at the last sample of each."""
    return pd.DataFrame(
        [row for run in runs for row in run.record["curve"][-2 if last else None :]]
    )
