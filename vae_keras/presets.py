"""Presets and parameters: what a notebook's one parameters cell means."""

import ast
import builtins
from dataclasses import dataclass

import yaml

from vae_keras import paths

NAMES = ("smoke", "quick", "standard", "paper")


@dataclass(frozen=True)
class Settings:
    """A preset, as its YAML file has it or as overridden.

    `samples`: training samples evaluated by each model. `allow_embedded`: whether embedded data
    may stand in for real data that are not found. `mnist_latent_dims`, `frey_face_latent_dims`:
    the sizes N_z of figure 2's panels. `n_train`: the sizes of the training sets of figure 3's.
    """

    preset: str
    samples: int
    allow_embedded: bool
    mnist_latent_dims: list[int]
    frey_face_latent_dims: list[int]
    n_train: list[int]


def read(preset: str) -> dict:
    """The values in ``reproduce/presets/<preset>.yaml``. Raises ValueError for an unknown one."""
    if preset not in NAMES:
        raise ValueError(f"unknown preset {preset!r}: one of {', '.join(NAMES)}")
    return yaml.safe_load((paths.PRESETS / f"{preset}.yaml").read_text())


def resolve(
    preset: str,
    samples: int | None = None,
    allow_embedded: bool | None = None,
    mnist_latent_dims: list[int] | None = None,
    frey_face_latent_dims: list[int] | None = None,
    n_train: list[int] | None = None,
) -> Settings:
    """The settings of a preset, with those given here in place of its own unless they are None.

    Called in a notebook, it also raises ValueError for a parameter that papermill passed and that
    the notebook does not have: a misspelt name would otherwise be ignored.
    """
    values = read(preset)
    _refuse_unknown_parameters(known=set(values))
    if samples is not None:
        if not isinstance(samples, int) or samples < 1:
            raise ValueError(f"samples is {samples!r}, but must be a whole number of at least 1")
        values["samples"] = samples
    if allow_embedded is not None:
        values["allow_embedded"] = bool(allow_embedded)
    for name, sizes in (
        ("mnist_latent_dims", mnist_latent_dims), ("n_train", n_train),
        ("frey_face_latent_dims", frey_face_latent_dims),
    ):  # fmt: skip
        if sizes is None:
            continue
        if not isinstance(sizes, list) or not all(isinstance(n, int) and n > 0 for n in sizes):
            raise ValueError(f"{name} is {sizes!r}, but must be a list of whole numbers above 0")
        values[name] = sizes
    return Settings(**values)


def _refuse_unknown_parameters(known: set[str]) -> None:
    shell = getattr(builtins, "get_ipython", lambda: None)()
    for cell in shell.user_ns.get("In", []) if shell else []:
        names = assigned(cell)
        injected = cell.startswith("# Parameters\n")  # by papermill
        if injected and (unknown := names - known):
            raise ValueError(
                f"this notebook has no parameter {', '.join(sorted(unknown))}: it has "
                f"{', '.join(sorted(known))}"
            )
        known = known | names


def assigned(source: str) -> set[str]:
    """The names that a cell's top-level assignments define; none where it is not plain Python."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return set()
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
    return {target.id for target in targets if isinstance(target, ast.Name)}
