"""One frozen `Experiment` is one curve of the paper: all that decides its numbers."""

import dataclasses
import hashlib
import itertools
import json
import math
import numbers
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from vae_keras import networks
from vae_keras._orders import ENDLESS
from vae_keras.datasets import Dataset
from vae_keras.models._walks import most_minibatches
from vae_keras.models.full_vb import FullVB
from vae_keras.models.latent_variable import LatentVariableModel
from vae_keras.models.monte_carlo_em import MonteCarloEM
from vae_keras.models.vae import VAE
from vae_keras.models.wake_sleep import WakeSleep

RECIPE = 9  # part of every key: raise it when a change to the kit changes the numbers
ALGORITHMS: dict[str, Any] = {
    "aevb": VAE,
    "wake_sleep": WakeSleep,
    "mcem": MonteCarloEM,
    "full_vb": FullVB,
}
WARM_UP = 100  # updates of the weights
LOG_VARIANCE_SCALE = 0.1  # of the encoder: Adagrad moves its variance at a tenth of the pace
# Adagrad's, of figure 2 and of figure 3, whose networks are smaller: the paper says 0.01, 0.02 or
# 0.1 by the curve, and these come nearest to its own (docs/recipe.md).
STEP_SIZE = {"lower_bound": 0.02, "marginal_log_likelihood": 0.1}
STEP_SIZE_ON_FACES, UP_TO = 0.01, 2  # of AEVB in figure 2 with no more latent variables than that
# Of figure 3 with so many training points or more, by the algorithm; there wake-sleep's encoder
# is not slow (benchmarks/recipe/large_training_set.py).
MANY, STEP_SIZE_OF_MANY = 50_000, {"aevb": 0.02, "wake_sleep": 0.02}
EVALUATIONS = {"mcem": 15}  # of p(x|z) for a datapoint that is visited; of all others 1
UPDATES = {"mcem": 5}  # of the weights, a minibatch; of all others 1
# Time that a sample takes against AEVB's with as many weights, about: what the longest run is.
COST = {"wake_sleep": 1.8, "full_vb": 3.0, "mcem": 4.0}
# What is recorded along the way -> the columns of the experiment that its figure needs.
MEASURES = {
    "lower_bound": ("dataset", "latent_dim", "algorithm"),
    "marginal_log_likelihood": ("dataset", "n_train", "latent_dim", "algorithm"),
}
DIGITS = ("mnist", "mnist_5k")
FACES = ("frey_face", "synthetic_faces")
# What the paper set by data set: docs/recipe.md says where that stands.
HIDDEN = dict.fromkeys(DIGITS, 500) | dict.fromkeys(FACES, 200)
BATCH_SIZE = dict.fromkeys(DIGITS, 100) | dict.fromkeys(FACES, 500)  # M
N_TRAIN = {"mnist": 50_000}  # the last 10,000 were for validation; of all others all
ALL = N_TRAIN | {"mnist_5k": 4000, "frey_face": 1565, "synthetic_faces": 1600}
NOT_ON_LINE = ("mcem",)  # each step is of all training points, and the first one moves the weights
GREYS = 256  # a pixel is byte / 256
EPSILON = 1e-8  # in the root of Adagrad's sums, there of the minibatch's summed gradients


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the numbers of one run, by default with the paper's recipe.

    `samples`: training samples to evaluate, rounded up to whole minibatches: how far the run is to
    come, not part of its name, since what it learns is decided by its counters alone. `hidden`:
    units of each network; `batch_size`: M; `n_train`: learn from the first so many training
    points: None is the paper's for the data set, and of others all points. `step_size`: Adagrad's;
    None: `STEP_SIZE` of the measure, or its exceptions. `warm_up`: updates in which Adagrad
    only sums squares, by default `WARM_UP`, of Monte Carlo EM 0. `stddev`: standard deviation of
    the first weights. `log_variance_scale`: of the encoder (`networks.gaussian_encoder`), None:
    `LOG_VARIANCE_SCALE`, or 1 for wake-sleep in figure 3 with `MANY` training points.
    `measure`: what is recorded along the way (`measures`), the "lower_bound" or, by appendix D, the
    "marginal_log_likelihood".
    `order`: of the data, "replacement", each datapoint drawn by itself, or "passes" over all of
    them, which is Monte Carlo EM's. Raises ValueError for an unknown data set, algorithm, measure
    or order, or a number below its least.
    """

    dataset: str
    latent_dim: int
    samples: int
    algorithm: str = "aevb"
    hidden: int | None = None
    n_train: int | None = None
    step_size: float | None = None
    seed: int = 0
    batch_size: int | None = None
    n_samples: int = 1
    measure: str = "lower_bound"
    order: str | None = None
    warm_up: int | None = None
    stddev: float = networks.STDDEV
    log_variance_scale: float | None = None

    def __post_init__(self):
        for name, known in (
            ("dataset", HIDDEN), ("algorithm", ALGORITHMS), ("measure", MEASURES),
            ("order", dict.fromkeys((*ENDLESS, None))),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}: one of "
                    f"{', '.join(filter(None, known))}"
                )
        if self.algorithm == "mcem" and self.measure == "lower_bound":
            raise ValueError(
                "Monte Carlo EM has no encoder, hence no lower bound: "
                "measure='marginal_log_likelihood'"
            )
        on_line = self.algorithm not in NOT_ON_LINE
        for name, of_paper in (
            ("hidden", HIDDEN[self.dataset]),
            ("n_train", N_TRAIN.get(self.dataset)),
            ("order", "replacement" if on_line else "passes"),
            ("warm_up", WARM_UP if on_line else 0),
        ):
            if getattr(self, name) is None:  # so that the same settings have the same key
                object.__setattr__(self, name, of_paper)
        if self.batch_size is None:
            n = BATCH_SIZE[self.dataset] if on_line else self.n_train or ALL[self.dataset]
            object.__setattr__(self, "batch_size", n)
        for name, least in (
            ("latent_dim", 1), ("samples", 1), ("hidden", 1), ("n_train", 1), ("batch_size", 1),
            ("n_samples", 1), ("seed", 0), ("warm_up", 0),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is None and name == "n_train":
                continue
            if not isinstance(value, numbers.Integral) or value < least:
                raise ValueError(f"{name} is {value!r}, but must be an integer, at least {least}")
            object.__setattr__(self, name, int(value))  # True and NumPy's have the key of 1
        if not isinstance(self.stddev, numbers.Real) or not 0 <= self.stddev < math.inf:
            raise ValueError(f"stddev is {self.stddev!r}, but must be at least 0 and finite")
        object.__setattr__(self, "stddev", float(self.stddev))
        for name, of_paper in (
            ("step_size", self._step_size()), ("log_variance_scale", self._log_variance_scale()),
        ):  # fmt: skip
            value = of_paper if getattr(self, name) is None else getattr(self, name)
            if not isinstance(value, numbers.Real) or not 0 < value < math.inf:
                raise ValueError(f"{name} is {value!r}, but must be above 0 and finite, or None")
            object.__setattr__(self, name, float(value))  # 1 is 1.0

    def _step_size(self):
        of_faces = self.algorithm == "aevb" and self.dataset in FACES and self.latent_dim <= UP_TO
        if self.measure == "lower_bound" and of_faces:
            return STEP_SIZE_ON_FACES
        if self._of_many() and self.algorithm in STEP_SIZE_OF_MANY:
            return STEP_SIZE_OF_MANY[self.algorithm]
        return STEP_SIZE[self.measure]

    def _log_variance_scale(self):
        return 1.0 if self._of_many() and self.algorithm == "wake_sleep" else LOG_VARIANCE_SCALE

    def _of_many(self):
        in_figure_3 = self.measure == "marginal_log_likelihood"
        return in_figure_3 and self.n_train is not None and self.n_train >= MANY

    @property
    def key(self) -> str:
        """The name of its folder in the store: readable, then a hash of all settings.

        A setting at its default is left out, so that a new one leaves the old keys as they are.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        defaults |= {"order": "replacement", "warm_up": WARM_UP}
        defaults |= {"log_variance_scale": LOG_VARIANCE_SCALE}
        settings = json.dumps(
            [RECIPE]
            + [
                (name, value)
                for name, default in defaults.items()
                if name != "samples" and (value := getattr(self, name)) != default
            ]
        )
        digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
        name = self.algorithm.replace("_", "-")
        return f"{name}-{self.dataset}-{self.latent_dim}d-{digest}"

    @property
    def title(self) -> str:
        """For progress and tables."""
        seed = f", seed {self.seed}" if self.seed else ""
        own = self.n_train != N_TRAIN.get(self.dataset)
        n_train = f", N_train={self.n_train:,}" if self.n_train and own else ""
        return f"{self.algorithm} {self.dataset} N_z={self.latent_dim}{n_train}{seed}"

    def pixels(self, x: np.ndarray) -> np.ndarray:
        """Images of uint8 as the experiments have them: byte / 256 in float32, (N, pixels)."""
        return x.astype(np.float32) / GREYS if x.dtype == np.uint8 else x

    def training_set(self, data: Dataset) -> np.ndarray:
        """What it learns from, before `pixels`. Raises ValueError for other data, or too few."""
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
        # Nothing from generators that other threads, as Dask's, may draw from as well.
        of_encoder, of_decoder, of_noise = 3 * self.seed, 3 * self.seed + 1, 3 * self.seed + 2
        n, pixels = self.training_set(data).shape
        faces = self.dataset in FACES
        hidden = int(self.hidden or 0)
        make_decoder = networks.gaussian_decoder if faces else networks.bernoulli_decoder
        common = {"weight_decay": 1 / n, "seed": of_noise, "name": self.algorithm}
        decoder = make_decoder(self.latent_dim, hidden, pixels, of_decoder, self.stddev)
        if self.algorithm == "mcem":
            model = MonteCarloEM(decoder, n, **common)
        else:
            encoder = networks.gaussian_encoder(
                pixels,
                hidden,
                self.latent_dim,
                of_encoder,
                self.stddev,
                float(self.log_variance_scale or 0),
            )
            if self.algorithm == "full_vb":
                common["n_train"] = n
            if self.algorithm == "wake_sleep" and faces:
                common["clip"] = (0.0, 1.0)
            algorithm = ALGORITHMS[self.algorithm]
            model = algorithm(encoder, decoder, n_samples=self.n_samples, **common)
        # Adagrad does not mind a gradient that is M times as large, if its epsilon is so too.
        optimizer = keras.optimizers.Adagrad(
            self.step_size,
            initial_accumulator_value=0.0,
            epsilon=EPSILON / int(self.batch_size or 0) ** 2,
        )
        minibatch = 4 * pixels * int(self.batch_size or 0)  # in bytes
        at_once = most_minibatches(minibatch)  # one program for all sizes
        model.compile(optimizer, steps_per_execution=at_once)
        optimizer.build(model.trainable_variables)
        return model

    @property
    def evaluations(self) -> int:
        """How often log p(x|z) is evaluated for a datapoint that is visited."""
        return EVALUATIONS.get(self.algorithm, 1)

    @property
    def warm_minibatches(self) -> int:
        """After how many minibatches the warm-up is over."""
        return -(-int(self.warm_up or 0) // UPDATES.get(self.algorithm, 1))

    def minibatches(self, samples: int) -> int:
        """How many minibatches evaluate `samples` training samples, or a few more."""
        return -(-samples // self._of_one())

    def reached(self, samples: int) -> int:
        """The training samples that so many whole minibatches evaluate."""
        return self.minibatches(samples) * self._of_one()

    def _of_one(self):
        return int(self.batch_size or 0) * self.evaluations

    @property
    def cost(self) -> float:
        """How long it takes, in units of its own: the longest run is to begin first."""
        pixels = 784 if self.dataset in DIGITS else 560
        weights = (self.hidden or 0) * (2 * pixels + 3 * self.latent_dim)
        measured = 3 if self.measure == "marginal_log_likelihood" else 1  # by HMC
        return self.samples * weights * COST.get(self.algorithm, 1) * measured


def combinations(data: Dataset, **settings: Any) -> list[tuple[Experiment, Dataset]]:
    """The experiments on `data`, one for each combination of the settings given as lists."""
    lists = [value if isinstance(value, list) else [value] for value in settings.values()]
    return [
        (Experiment(data.name, **dict(zip(settings, values, strict=True))), data)
        for values in itertools.product(*lists)
    ]
