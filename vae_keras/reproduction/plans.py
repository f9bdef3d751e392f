"""Which runs each figure of the paper is drawn from. The arguments are its notebook's parameters.

A list of pairs comes back, of an experiment and its data, as `runs.run_all` takes them.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from vae_keras import datasets
from vae_keras.datasets import Dataset
from vae_keras.reproduction import presets, provenance
from vae_keras.reproduction.experiments import Experiment, combinations

Plan = list[tuple[Experiment, Dataset]]
FIGURE_3_ENDS = 6 * 10**7  # training samples, in the paper


def graphical_model() -> Plan:
    """Figure 1 is drawn from none."""
    return []


def lower_bound(settings: presets.Settings, step_size: float | None, algorithms: list[str]) -> Plan:
    """Figure 2: each latent size of both data sets, by each algorithm."""
    settings = _of_curves(settings)
    sizes = {"mnist": settings.mnist_latent_dims, "frey_face": settings.frey_face_latent_dims}
    return [
        pair
        for name, latent_dims in sizes.items()
        for pair in _each(
            name, settings, latent_dim=latent_dims, algorithm=algorithms, step_size=[step_size]
        )
    ]


def marginal_likelihood(
    settings: presets.Settings,
    step_size: float | None,
    algorithms: list[str],
    latent_dim: int,
    hidden: int,
) -> Plan:
    """Figure 3: each size of the training set, by each algorithm."""
    settings = _of_curves(settings)
    return _each(
        "mnist",
        dataclasses.replace(settings, samples=min(settings.samples, FIGURE_3_ENDS)),
        settings.n_train,
        latent_dim=[latent_dim],
        hidden=[hidden],
        algorithm=algorithms,
        step_size=[step_size],
        measure="marginal_log_likelihood",
    )


def differences(settings: presets.Settings) -> Plan:
    """Figures 2 and 3 as the paper has them, of "mnist" and "frey_face"."""
    figure_3 = marginal_likelihood(settings, None, ["aevb", "wake_sleep", "mcem"], 3, 100)
    return lower_bound(settings, None, ["aevb", "wake_sleep"]) + figure_3


def manifold(settings: presets.Settings, seed: int, step_size: float | None) -> Plan:
    """Figure 4: AEVB of faces and of digits with two latent dimensions."""
    both = (datasets.load(n, settings.allow_embedded) for n in ("frey_face", "mnist"))
    return [
        (Experiment(data.name, 2, settings.samples, seed=seed, step_size=step_size), data)
        for data in both
    ]


def samples(
    settings: presets.Settings, seed: int, step_size: float | None, latent_dims: list[int]
) -> Plan:
    """Figure 5: AEVB of digits with each latent size."""
    data = datasets.load("mnist", settings.allow_embedded)
    return [
        (Experiment(data.name, size, settings.samples, seed=seed, step_size=step_size), data)
        for size in latent_dims
    ]


def full_vb(
    settings: presets.Settings,
    step_size: float | None,
    training_points: int,
    latent_dim: int,
    hidden: int,
) -> Plan:
    """Full VB and the MAP estimate on few digits."""
    return _each(
        "mnist",
        _of_curves(settings),
        [training_points],
        latent_dim=[latent_dim],
        hidden=[hidden],
        algorithm=["aevb", "full_vb"],
        step_size=[step_size],
    )


def _of_curves(settings: presets.Settings) -> presets.Settings:
    return dataclasses.replace(settings, samples=settings.samples_of_curves or settings.samples)


def _each(
    name: str, settings: presets.Settings, n_train: list[int] | None = None, **which: Any
) -> Plan:
    """`combinations` with each seed; of embedded data `n_train` takes as many as there are."""
    data = datasets.load(name, settings.allow_embedded)
    if n_train is not None and data.embedded:
        n_train = [min(n, len(data.x_train)) for n in n_train]
    first, others = settings.seeds[:1], settings.seeds[1:]  # of no seeds at all there is no run
    least = min(settings.samples, settings.samples_of_other_seeds or settings.samples)
    return [
        pair
        for seeds, samples in ((first, settings.samples), (others, least))
        for pair in combinations(data, n_train=n_train, **which, seed=seeds, samples=samples)
    ]


PLANS: dict[str, Callable[..., Plan]] = {
    "fig_differences": differences,
    "fig_full_vb": full_vb,
    "fig_graphical_model": graphical_model,
    "fig_lower_bound": lower_bound,
    "fig_manifold": manifold,
    "fig_marginal_likelihood": marginal_likelihood,
    "fig_samples": samples,
}


def of(name: str, preset: str) -> Plan:
    """The runs of ``reproduce/<name>.ipynb`` at a preset, all else as its parameters have it."""
    values = provenance.parameters(name, preset) | {"settings": presets.resolve(preset)}
    plan = PLANS[name]
    return plan(**{key: values[key] for key in inspect.signature(plan).parameters})


def data_sets(name: str) -> list[str]:
    """The real data sets that the runs of ``reproduce/<name>.ipynb`` learn from."""
    code = inspect.getsource(PLANS[name])
    return [real for real in datasets.REMOTE if f'"{real}"' in code]
