"""The parameters of each figure: one class per figure, whose fields are its parameters.

A figure's notebook and the command line pass on the parameters that the user set. A field that is
None takes the preset's value, or the default of its class.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from vae_keras import datasets
from vae_keras.datasets import Dataset
from vae_keras.reproduction import presets
from vae_keras.reproduction.experiments import Experiment, combinations

Runs = list[tuple[Experiment, Dataset]]
OF_PRESET: Any = None  # the default of parameters that every preset sets
FIGURE_3_ENDS = 6 * 10**7  # training samples, as in the paper
PLAIN = (bool, int, float, str, list, tuple, dict, type(None))  # types of parameters


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base class: the preset and the output folder of a figure.

    `figures_dir` only sets where the files are written. Raises ValueError for an invalid value of
    a parameter, before any training.
    """

    name: ClassVar[str]
    learns_from: ClassVar[tuple[str, ...]] = ()  # the real data sets
    reads: ClassVar[tuple[str, ...]] = ()  # other files of the project that the figure shows

    preset: str = "quick"
    figures_dir: str | None = None

    @classmethod
    def of(cls, namespace: Mapping[str, Any]) -> Self:
        """The settings in a notebook's ``globals()``, set by its parameters cell or papermill.

        Raises ValueError for a variable that is not a parameter, if the notebook has only just
        begun: the variable would be ignored.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        settings = cls(**{name: namespace[name] for name in names & namespace.keys()})
        of_preset = presets.read(settings.preset)
        strange = {
            name
            for name, value in namespace.items()
            if isinstance(value, PLAIN)
            and not (name.startswith("_") or name in names or name in ("In", "Out"))
            # `papermill -f reproduce/presets/standard.yaml` sets every key of the preset.
            and not (name in of_preset and of_preset[name] == value)
        }
        if strange and not any(isinstance(value, Settings) for value in namespace.values()):
            raise ValueError(
                f"this notebook has no parameter {', '.join(sorted(strange))}: it has "
                f"{', '.join(sorted(names))}. A variable of your own comes after this cell"
            )
        return settings

    def __post_init__(self):
        of_preset = presets.read(self.preset)
        for of in dataclasses.fields(self):
            if of.name in ("preset", "figures_dir"):  # strings, never parsed as Python
                continue
            made = of.default_factory is not dataclasses.MISSING
            default = of_preset.get(of.name, of.default_factory() if made else of.default)
            value = presets.typed(of.name, getattr(self, of.name), default)
            if of.name in of_preset:
                value = presets.checked(of.name, value)
            least = of.metadata.get("least")
            if least and not (presets.is_whole(value) and value >= least):
                raise ValueError(
                    f"{of.name} is {value!r}, but must be an integer of at least {least}"
                )
            object.__setattr__(self, of.name, value)

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters that determine the figure, by name."""
        values = dataclasses.asdict(self)
        del values["figures_dir"]
        return values

    def runs(self) -> Runs:
        """The runs that the figure is drawn from, each with its loaded data."""
        return []


@dataclass(frozen=True, kw_only=True)
class GraphicalModel(Settings):
    """Figure 1, which needs no runs."""

    name: ClassVar[str] = "fig_graphical_model"


@dataclass(frozen=True, kw_only=True)
class Curves(Settings):
    """Base class of figures that show curves, as the mean and range of several seeds.

    `samples`: training samples evaluated by each model. `allow_embedded`: whether to use embedded
    data if the real data are not found. `seeds`: one run per seed, which sets the initial weights,
    the minibatches and the noise.
    """

    samples: int = OF_PRESET
    allow_embedded: bool = OF_PRESET
    seeds: list[int] = OF_PRESET

    @property
    def ends(self) -> tuple[int, int]:
        """The training samples at which runs end: of the first seed, and of all other seeds."""
        of_preset = presets.read(self.preset)
        first = self.samples
        if first == of_preset["samples"]:
            first = of_preset.get("samples_of_curves") or first
        return first, min(first, of_preset.get("samples_of_other_seeds") or first)

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters that determine the figure, by name, and where the runs end."""
        return super().parameters | {"ends": list(self.ends)}

    def _each(
        self, name: str, n_train: list[int] | None = None, last: int | None = None, **which: Any
    ) -> Runs:
        """`combinations` for each seed, up to `last` samples; clips `n_train` to embedded data."""
        data = datasets.load(name, self.allow_embedded)
        if n_train is not None and data.embedded:
            n_train = [min(n, len(data.x_train)) for n in n_train]
        seeds = (self.seeds[:1], self.seeds[1:])
        return [
            pair
            for some, end in zip(seeds, self.ends, strict=True)
            for pair in combinations(
                data, n_train=n_train, **which, seed=some, samples=min(end, last or end)
            )
        ]


@dataclass(frozen=True, kw_only=True)
class LowerBound(Curves):
    """Figure 2: each algorithm with each latent size of both data sets."""

    name: ClassVar[str] = "fig_lower_bound"
    learns_from: ClassVar[tuple[str, ...]] = ("mnist", "frey_face")
    reads: ClassVar[tuple[str, ...]] = ("benchmarks/recipe/plateau.csv",)

    step_size: float | None = None
    algorithms: list[str] = field(default_factory=lambda: ["aevb", "wake_sleep"])
    mnist_latent_dims: list[int] = OF_PRESET
    frey_face_latent_dims: list[int] = OF_PRESET

    def runs(self) -> Runs:
        """One run per data set, latent size, algorithm and seed."""
        sizes = (self.mnist_latent_dims, self.frey_face_latent_dims)
        return [
            pair
            for name, latent_dims in zip(self.learns_from, sizes, strict=True)
            for pair in self._each(
                name,
                latent_dim=latent_dims,
                algorithm=self.algorithms,
                step_size=[self.step_size],
            )
        ]


@dataclass(frozen=True, kw_only=True)
class MarginalLikelihood(Curves):
    """Figure 3: each algorithm with each size of the training set."""

    name: ClassVar[str] = "fig_marginal_likelihood"
    learns_from: ClassVar[tuple[str, ...]] = ("mnist",)

    step_size: float | None = None
    algorithms: list[str] = field(default_factory=lambda: ["aevb", "wake_sleep", "mcem"])
    n_train: list[int] = OF_PRESET
    latent_dim: int = 3
    hidden: int = 100

    def runs(self) -> Runs:
        """One run per size of the training set, algorithm and seed."""
        return self._each(
            "mnist",
            self.n_train,
            last=FIGURE_3_ENDS,
            latent_dim=[self.latent_dim],
            hidden=[self.hidden],
            algorithm=self.algorithms,
            step_size=[self.step_size],
            measure="marginal_log_likelihood",
        )


@dataclass(frozen=True, kw_only=True)
class Differences(Curves):
    """Our figures 2 and 3 minus the paper's."""

    name: ClassVar[str] = "fig_differences"
    learns_from: ClassVar[tuple[str, ...]] = ("mnist", "frey_face")

    def runs(self) -> Runs:
        """The runs of figure 2, then those of figure 3."""
        of_curves = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return LowerBound(**of_curves).runs() + MarginalLikelihood(**of_curves).runs()


@dataclass(frozen=True, kw_only=True)
class FullVB(Curves):
    """Appendix F: full VB and the MAP estimate on a small set of digits."""

    name: ClassVar[str] = "fig_full_vb"
    learns_from: ClassVar[tuple[str, ...]] = ("mnist",)

    step_size: float | None = None
    training_points: int = 1000
    latent_dim: int = 10
    hidden: int = 100

    def runs(self) -> Runs:
        """The runs of AEVB and of full VB."""
        return self._each(
            "mnist",
            [self.training_points],
            latent_dim=[self.latent_dim],
            hidden=[self.hidden],
            algorithm=["aevb", "full_vb"],
            step_size=[self.step_size],
        )


@dataclass(frozen=True, kw_only=True)
class Pictures(Settings):
    """Base class of figures that show images decoded by AEVB models.

    `pretrained`: draw the models that ship with the package, without training: those of
    `vae_keras.pretrained` that a subclass names in `models`. It excludes the parameters of
    training: `samples`, `seed` and `step_size`.
    """

    samples: int = OF_PRESET
    allow_embedded: bool = OF_PRESET
    seed: int = 0
    step_size: float | None = None
    pretrained: bool = False

    def __post_init__(self):
        given = {"samples": self.samples, "seed": self.seed, "step_size": self.step_size}
        super().__post_init__()
        usual = (None, 0, presets.read(self.preset)["samples"])
        named = [name for name, value in given.items() if value not in usual]
        if self.pretrained and named:
            raise ValueError(
                f"pretrained draws the models that ship with the kit, so {', '.join(named)} would "
                "do nothing: leave one of them out"
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters that determine the figure; shipped models omit those of training."""
        values = super().parameters
        if self.pretrained:  # the models carry their own training settings
            values = {k: v for k, v in values.items() if k not in ("samples", "seed", "step_size")}
        return values

    def _each(self, name: str, latent_dims: list[int]) -> Runs:
        data = datasets.load(name, self.allow_embedded)
        experiments = [
            Experiment(data.name, size, self.samples, seed=self.seed, step_size=self.step_size)
            for size in latent_dims
        ]
        return [(experiment, data) for experiment in experiments]


@dataclass(frozen=True, kw_only=True)
class Manifold(Pictures):
    """Figure 4: faces and digits with two latent dimensions.

    `latent_grid`, `face_grid`: tiles along each side of the manifold of digits and of faces.
    """

    name: ClassVar[str] = "fig_manifold"
    learns_from: ClassVar[tuple[str, ...]] = ("frey_face", "mnist")

    latent_grid: int = field(default=20, metadata={"least": 2})
    face_grid: int = field(default=10, metadata={"least": 2})

    @property
    def models(self) -> list[str]:
        """The shipped models that `pretrained` draws."""
        return ["aevb-frey-face-2d", "aevb-mnist-2d"]

    def runs(self) -> Runs:
        """The run on faces, then the run on digits."""
        return self._each("frey_face", [2]) + self._each("mnist", [2])


@dataclass(frozen=True, kw_only=True)
class Samples(Pictures):
    """Figure 5: digits for each latent size. `rows`: tiles along each side of a panel."""

    name: ClassVar[str] = "fig_samples"
    learns_from: ClassVar[tuple[str, ...]] = ("mnist",)

    latent_dims: list[int] = field(default_factory=lambda: [2, 5, 10, 20])
    rows: int = field(default=10, metadata={"least": 1})

    @property
    def models(self) -> list[str]:
        """The shipped models that `pretrained` draws."""
        return [f"aevb-mnist-{size}d" for size in self.latent_dims]

    def runs(self) -> Runs:
        """One run per latent size."""
        return self._each("mnist", self.latent_dims)


FIGURES: dict[str, type[Settings]] = {
    figure.name: figure
    for figure in (
        Differences, FullVB, GraphicalModel, LowerBound, Manifold, MarginalLikelihood, Samples,
    )
}  # fmt: skip
