"""Presets and parameters: what a notebook's one parameters cell means."""

import ast
import builtins
import contextlib
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from vae_keras.reproduction import paths

NAMES = ("smoke", "quick", "standard", "paper")


@dataclass(frozen=True)
class Settings:
    """A preset, as its YAML file has it or as overridden.

    `samples`: training samples evaluated by each model; those of which a figure draws curves end at
    `samples_of_curves`: None is `samples`. `allow_embedded`: whether embedded data may stand in for
    real data that are not found. `mnist_latent_dims`, `frey_face_latent_dims`:
    the sizes N_z of figure 2's panels. `n_train`: the sizes of the training sets of figure 3's.
    `seeds`: of the first weights, the minibatches and the noise, a run each; of all but the first
    the runs end at `samples_of_other_seeds` at the latest: None is `samples`.
    """

    preset: str
    samples: int
    allow_embedded: bool
    mnist_latent_dims: list[int]
    frey_face_latent_dims: list[int]
    n_train: list[int]
    seeds: list[int]
    samples_of_other_seeds: int | None = None
    samples_of_curves: int | None = None


OPTIONAL = {"samples_of_other_seeds", "samples_of_curves"}


def so_far() -> bool:
    """Whether figures are drawn from what has been trained so far: ``VAE_KERAS_SO_FAR``."""
    return os.environ.get("VAE_KERAS_SO_FAR", "0") not in ("", "0")


def label(preset: str) -> str:
    """What a preset's folders are called: its name, or that of its file without the ending."""
    return preset if preset in NAMES else Path(preset).stem


def read(preset: str) -> dict:
    """The values of a preset: ``reproduce/presets/<preset>.yaml``, or a YAML file of one's own.

    Raises ValueError for an unknown one, and for a file whose keys or values are not a preset's.
    """
    if preset in NAMES:
        return yaml.safe_load((paths.PRESETS / f"{preset}.yaml").read_text())
    file = Path(preset).expanduser()
    if file.suffix not in (".yaml", ".yml") or label(preset) in (*NAMES, "custom"):
        raise ValueError(
            f"unknown preset {preset!r}: one of {', '.join(NAMES)}, or a YAML file of your own, "
            "called otherwise"
        )
    try:
        values = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{file} cannot be read as a preset: {error}") from error
    keys = {field.name for field in fields(Settings)} - {"preset"}
    given = dict(values) if isinstance(values, dict) else {}
    given.pop("preset", None)
    missing = keys - set(given) - OPTIONAL
    if missing or set(given) - keys:
        raise ValueError(
            f"{file} must say {', '.join(sorted(keys))}: it lacks "
            f"{', '.join(sorted(missing)) or 'none'}, and has {', '.join(map(str, given))}"
        )
    standard = read("standard") | dict.fromkeys(OPTIONAL, 1)
    try:
        checked = {name: _checked(name, typed(v, standard[name])) for name, v in given.items()}
    except ValueError as error:
        raise ValueError(f"in {file}, {error}") from error
    return {"preset": preset} | checked


def resolve(
    preset: str,
    samples: int | None = None,
    allow_embedded: bool | None = None,
    mnist_latent_dims: list[int] | None = None,
    frey_face_latent_dims: list[int] | None = None,
    n_train: list[int] | None = None,
    seeds: list[int] | None = None,
) -> Settings:
    """The settings of a preset, with those given here in place of its own unless they are None.

    Called in a notebook, it also looks at what papermill passed: it gives each parameter the type
    that the notebook's own value has (see `typed`), and raises ValueError for one that the notebook
    does not have, since a misspelt name would otherwise be ignored.
    """
    values = read(preset)
    _take_from_papermill(values)
    given = {
        "samples": samples,
        "allow_embedded": allow_embedded,
        "mnist_latent_dims": mnist_latent_dims,
        "frey_face_latent_dims": frey_face_latent_dims,
        "n_train": n_train,
        "seeds": seeds,
    }
    for name, value in given.items():
        value = typed(value, values[name])
        if value is not None:
            if name == "samples" and value != values[name]:  # whatever is drawn of them
                values["samples_of_curves"] = None
            values[name] = _checked(name, value)
    return Settings(**values)


def _checked(name: str, value: Any) -> Any:
    """A setting's value; ValueError for one that it cannot have."""
    if name == "allow_embedded":
        if value not in (True, False):
            raise ValueError(f"allow_embedded is {value!r}, but must be True or False")
        return bool(value)
    if name in OPTIONAL | {"samples"}:
        if not _is_whole(value) or value < 1:
            raise ValueError(f"{name} is {value!r}, but must be a whole number of at least 1")
        return value
    least = 0 if name == "seeds" else 1
    if not isinstance(value, list) or not all(_is_whole(n) and n >= least for n in value):
        raise ValueError(
            f"{name} is {value!r}, but must be a list of whole numbers of at least {least}"
        )
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def typed(value: Any, default: Any) -> Any:
    """A parameter as it was meant: papermill's ``-p`` passes all but numbers as strings.

    Where `default`, the value in its place, is no string, a string is read as Python: "[0, 1]",
    "None". Where it is a list, one value is a list of one; where it is a whole number, 1e6 is 10^6.
    """
    if isinstance(value, str) and not isinstance(default, str):
        with contextlib.suppress(ValueError, SyntaxError, TypeError):  # a word stays a word
            value = ast.literal_eval(value)
    if isinstance(default, list) and value is not None:
        return list(value) if isinstance(value, list | tuple) else [value]
    if _is_whole(default) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _take_from_papermill(of_preset: dict) -> None:
    """Check the names that papermill injected into this notebook, and give the values their type.

    `of_preset`: what stands for None.
    """
    shell: Any = getattr(builtins, "get_ipython", lambda: None)()
    defaults: dict[str, Any] = {}
    for cell in shell.user_ns.get("In", []) if shell else []:
        values = assigned(cell)
        if cell.startswith("# Parameters\n"):  # by papermill
            strange = values.keys() - defaults.keys()
            # `papermill -f reproduce/presets/standard.yaml` names all that a preset has.
            if unknown := {n for n in strange if n not in of_preset or values[n] != of_preset[n]}:
                raise ValueError(
                    f"this notebook has no parameter {', '.join(sorted(unknown))}: it has "
                    f"{', '.join(sorted(defaults))}"
                )
            known = values.keys() & shell.user_ns.keys() & defaults.keys()
            for name in known - {"figures_dir"}:  # which is a path, whatever it looks like
                value = typed(shell.user_ns[name], defaults[name])
                if isinstance(value, str) and not isinstance(defaults[name], str | None):
                    raise ValueError(
                        f"{name} is {value!r}, but must be a value like {defaults[name]!r}"
                    )
                if value is None and isinstance(defaults[name], list) and name not in of_preset:
                    raise ValueError(f"{name} is None, but must be a list like {defaults[name]!r}")
                if isinstance(value, list | tuple | dict) and not isinstance(defaults[name], list):
                    raise ValueError(f"{name} is {value!r}, but must be one value")
                shell.user_ns[name] = value
            continue
        defaults |= {n: of_preset.get(n) if v is None else v for n, v in values.items()}


def assigns_only(source: str, names: set[str]) -> bool:
    """Whether a cell does nothing but give literals to some of `names`."""
    try:
        body = ast.parse(source).body
        return all(
            isinstance(node, ast.Assign)
            and all(isinstance(t, ast.Name) and t.id in names for t in node.targets)
            and (ast.literal_eval(node.value), True)[1]
            for node in body
        )
    except (SyntaxError, ValueError):
        return False


def check_untrained(**given: Any) -> None:
    """Raise ValueError for parameters of training beside `pretrained`, which trains nothing.

    None, and the seed 0, are what they are where nothing was said.
    """
    if named := [name for name, value in given.items() if value not in (None, 0)]:
        raise ValueError(
            f"pretrained draws the models that ship with the kit, so {', '.join(named)} would do "
            "nothing: leave one of them out"
        )


def assigned(source: str) -> dict:
    """Name -> value of a cell's top-level assignments; none where it is not plain Python.

    A value that is no literal is None.
    """
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return {}
    found = {}
    for node in (node for node in body if isinstance(node, ast.Assign)):
        for target in (target for target in node.targets if isinstance(target, ast.Name)):
            try:
                found[target.id] = ast.literal_eval(node.value)
            except ValueError:
                found[target.id] = None
    return found
