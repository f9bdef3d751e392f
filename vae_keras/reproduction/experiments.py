"""`Experiment`: the frozen settings that determine one curve of the paper."""

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

RECIPE = 9  # part of every key: raise it when a code change alters the numbers
ALGORITHMS: dict[str, Any] = {
    "aevb": VAE,
    "wake_sleep": WakeSleep,
    "mcem": MonteCarloEM,
    "full_vb": FullVB,
}
WARM_UP = 100  # updates of the weights
LOG_VARIANCE_SCALE = 0.1  # of the encoder: its log variance then learns at a tenth of the pace
# Adagrad's step sizes for figure 2 and for the smaller networks of figure 3. The paper chose 0.01,
# 0.02 or 0.1 per curve; these come nearest to its curves (docs/recipe.md).
STEP_SIZE = {"lower_bound": 0.02, "marginal_log_likelihood": 0.1}
STEP_SIZE_ON_FACES, UP_TO = 0.01, 2  # for AEVB on Frey Face in figure 2, latent_dim <= UP_TO
STEP_SIZE_ON_DRAWN = 0.03  # on the embedded faces, in figure 2
# For figure 3 with MANY training points or more. There wake-sleep's log_variance_scale is 1
# (benchmarks/recipe/large_training_set.py).
MANY, STEP_SIZE_OF_MANY = 50_000, {"aevb": 0.02, "wake_sleep": 0.02}
EVALUATIONS = {"mcem": 15}  # of p(x|z) per visited datapoint; 1 for the other algorithms
UPDATES = {"mcem": 5}  # of the weights per minibatch; 1 for the other algorithms
# Rough time per sample relative to AEVB with as many weights: the longest run starts first.
COST = {"wake_sleep": 1.8, "full_vb": 3.0, "mcem": 4.0}
# Recorded quantity -> the settings that become columns of its figure's table.
MEASURES = {
    "lower_bound": ("dataset", "latent_dim", "algorithm"),
    "marginal_log_likelihood": ("dataset", "n_train", "latent_dim", "algorithm"),
}
DIGITS = ("mnist", "mnist_5k")
FACES = ("frey_face", "synthetic_faces")
DRAWN = (
    "synthetic_faces"  # no recipe of the paper's: settings by which two variables find both factors
)
# The paper's settings for each data set; docs/recipe.md gives the sources.
HIDDEN = dict.fromkeys(DIGITS, 500) | dict.fromkeys(FACES, 200)
BATCH_SIZE = dict.fromkeys(DIGITS, 100) | {"frey_face": 500, DRAWN: 50}  # M
N_TRAIN = {"mnist": 50_000}  # the last 10,000 were for validation; other data sets use all points
ALL = N_TRAIN | {"mnist_5k": 4000, "frey_face": 1565, "synthetic_faces": 1600}
NOT_ON_LINE = ("mcem",)  # each step uses all training points, and the first one updates the weights
GREYS = 256  # a pixel is byte / 256
OF_RECIPE: Any = None  # the default of settings that the recipe sets
EPSILON = 1e-8  # inside Adagrad's square root, for gradients summed over the minibatch


@dataclass(frozen=True)
class Experiment:
    """The settings that determine the numbers of one run. The defaults are the paper's recipe.

    `samples`: training samples to evaluate, rounded up to whole minibatches. It is not part of
    `key`, because a longer run begins with the same numbers. `hidden`: units of each hidden layer.
    `batch_size`: M. `n_train`: use only the first `n_train` training points; None: the paper's
    number for the data set, else all points. `step_size`: Adagrad's; None: `STEP_SIZE` of the
    measure, or its exceptions. `warm_up`: updates in which Adagrad only sums squares; None:
    `WARM_UP`, or 0 for Monte Carlo EM. `stddev`: standard deviation of the initial weights; None:
    the paper's 0.01, or 0.1 on the embedded faces.
    `log_variance_scale`: of the encoder (`networks.gaussian_encoder`); None: `LOG_VARIANCE_SCALE`,
    or 1 for wake-sleep in figure 3 with `MANY` training points or more, and on the embedded faces.
    `measure`: the quantity recorded during training (`measures`), "lower_bound" or, by appendix D,
    "marginal_log_likelihood". `order`: of the data, "replacement" (each datapoint is drawn
    independently) or "passes" over all of them (the default for Monte Carlo EM).

    Raises ValueError for an unknown data set, algorithm, measure or order, or an invalid number.
    """

    dataset: str
    latent_dim: int
    samples: int
    algorithm: str = "aevb"
    hidden: int = OF_RECIPE
    n_train: int | None = None
    step_size: float | None = None
    seed: int = 0
    batch_size: int = OF_RECIPE
    n_samples: int = 1
    measure: str = "lower_bound"
    order: str = OF_RECIPE
    warm_up: int = OF_RECIPE
    stddev: float = OF_RECIPE
    log_variance_scale: float = OF_RECIPE

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
                "Monte Carlo EM has no encoder, hence no lower bound: use "
                "measure='marginal_log_likelihood'"
            )
        on_line = self.algorithm not in NOT_ON_LINE
        for name, of_paper in (
            ("hidden", HIDDEN[self.dataset]),
            ("n_train", N_TRAIN.get(self.dataset)),
            ("order", "replacement" if on_line else "passes"),
            ("warm_up", WARM_UP if on_line else 0),
            ("stddev", 0.1 if self.dataset == DRAWN else networks.STDDEV),
        ):
            if getattr(self, name) is None:  # None and its default must have the same key
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
                raise ValueError(f"{name} is {value!r}, but must be an integer of at least {least}")
            object.__setattr__(self, name, int(value))  # True and NumPy's 1 must have the key of 1
        if not isinstance(self.stddev, numbers.Real) or not 0 <= self.stddev < math.inf:
            raise ValueError(f"stddev is {self.stddev!r}, but must be at least 0 and finite")
        object.__setattr__(self, "stddev", float(self.stddev))
        for name, of_paper in (
            ("step_size", self._step_size()), ("log_variance_scale", self._log_variance_scale()),
        ):  # fmt: skip
            value = of_paper if getattr(self, name) is None else getattr(self, name)
            if not isinstance(value, numbers.Real) or not 0 < value < math.inf:
                raise ValueError(f"{name} is {value!r}, but must be above 0 and finite, or None")
            object.__setattr__(self, name, float(value))  # 1 must have the key of 1.0

    def _step_size(self):
        small = self.dataset == "frey_face" and self.latent_dim <= UP_TO
        if self.measure == "lower_bound" and self.algorithm == "aevb" and small:
            return STEP_SIZE_ON_FACES
        if self.measure == "lower_bound" and self.dataset == DRAWN:
            return STEP_SIZE_ON_DRAWN
        if self._of_many() and self.algorithm in STEP_SIZE_OF_MANY:
            return STEP_SIZE_OF_MANY[self.algorithm]
        return STEP_SIZE[self.measure]

    def _log_variance_scale(self):
        of_many = self._of_many() and self.algorithm == "wake_sleep"
        return 1.0 if of_many or self.dataset == DRAWN else LOG_VARIANCE_SCALE

    def _of_many(self):
        in_figure_3 = self.measure == "marginal_log_likelihood"
        return in_figure_3 and self.n_train is not None and self.n_train >= MANY

    @property
    def key(self) -> str:
        """The name of the run's folder in the store: a readable part, then a hash of the settings.

        Settings at their default are left out, so that a new setting does not change old keys.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        defaults |= {"order": "replacement", "warm_up": WARM_UP, "stddev": networks.STDDEV}
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
        """A short description for progress displays and tables."""
        seed = f", seed {self.seed}" if self.seed else ""
        own = self.n_train != N_TRAIN.get(self.dataset)
        n_train = f", N_train={self.n_train:,}" if self.n_train and own else ""
        return f"{self.algorithm} {self.dataset} N_z={self.latent_dim}{n_train}{seed}"

    def pixels(self, x: np.ndarray) -> np.ndarray:
        """Scale uint8 images, shape (N, pixels), to float32 as byte / 256."""
        return x.astype(np.float32) / GREYS if x.dtype == np.uint8 else x

    def training_set(self, data: Dataset) -> np.ndarray:
        """The training images, before `pixels`. Raises ValueError for other or too few data."""
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
        # Explicit seeds: other threads, such as Dask's, may draw from the global generators.
        of_encoder, of_decoder, of_noise = 3 * self.seed, 3 * self.seed + 1, 3 * self.seed + 2
        n, pixels = self.training_set(data).shape
        faces = self.dataset in FACES
        make_decoder = networks.gaussian_decoder if faces else networks.bernoulli_decoder
        common = {"weight_decay": 1 / n, "seed": of_noise, "name": self.algorithm}
        decoder = make_decoder(self.latent_dim, self.hidden, pixels, of_decoder, self.stddev)
        if self.algorithm == "mcem":
            model = MonteCarloEM(decoder, n, **common)
        else:
            encoder = networks.gaussian_encoder(
                pixels, self.hidden, self.latent_dim, of_encoder, self.stddev,
                self.log_variance_scale,
            )  # fmt: skip
            if self.algorithm == "full_vb":
                common["n_train"] = n
            if self.algorithm == "wake_sleep" and faces:
                common["clip"] = (0.0, 1.0)
            algorithm = ALGORITHMS[self.algorithm]
            model = algorithm(encoder, decoder, n_samples=self.n_samples, **common)
        # Adagrad is invariant to a factor M on all gradients if its epsilon has a factor M^2.
        optimizer = keras.optimizers.Adagrad(
            self.step_size,
            initial_accumulator_value=0.0,
            epsilon=EPSILON / self.batch_size**2,
        )
        minibatch = 4 * pixels * self.batch_size  # in bytes
        at_once = most_minibatches(minibatch)  # one program for all data sizes
        model.compile(optimizer, steps_per_execution=at_once)
        optimizer.build(model.trainable_variables)
        return model

    @property
    def evaluations(self) -> int:
        """Evaluations of log p(x|z) per visited datapoint."""
        return EVALUATIONS.get(self.algorithm, 1)

    @property
    def warm_minibatches(self) -> int:
        """The number of minibatches in the warm-up."""
        return -(-self.warm_up // UPDATES.get(self.algorithm, 1))

    def minibatches(self, samples: int) -> int:
        """The number of minibatches that evaluate at least `samples` training samples."""
        return -(-samples // self._of_one())

    def reached(self, samples: int) -> int:
        """`samples` rounded up to whole minibatches."""
        return self.minibatches(samples) * self._of_one()

    def _of_one(self):
        return self.batch_size * self.evaluations

    @property
    def cost(self) -> float:
        """Estimated duration in arbitrary units, used to start the longest run first."""
        pixels = 784 if self.dataset in DIGITS else 560
        weights = self.hidden * (2 * pixels + 3 * self.latent_dim)
        measured = 3 if self.measure == "marginal_log_likelihood" else 1  # HMC takes long
        return self.samples * weights * COST.get(self.algorithm, 1) * measured


def combinations(data: Dataset, **settings: Any) -> list[tuple[Experiment, Dataset]]:
    """One experiment on `data` for each combination of the settings that are lists."""
    lists = [value if isinstance(value, list) else [value] for value in settings.values()]
    return [
        (Experiment(data.name, **dict(zip(settings, values, strict=True))), data)
        for values in itertools.product(*lists)
    ]
