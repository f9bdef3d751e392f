"""Presets, and how a parameter is read that a user typed."""

import ast
import contextlib
from pathlib import Path
from typing import Any

import yaml

from vae_keras.reproduction import paths

NAMES = ("smoke", "quick", "standard", "paper")


# What each says. `samples`: training samples evaluated by each model; those of which a figure draws
# curves end at `samples_of_curves`, of all seeds but the first at `samples_of_other_seeds` at the
# latest. `allow_embedded`: whether embedded data may stand in for real data that are not found.
# `mnist_latent_dims`, `frey_face_latent_dims`: the sizes N_z of figure 2's panels. `n_train`: the
# sizes of the training sets of figure 3's. `seeds`: of the runs.
KEYS = (
    "samples", "allow_embedded", "mnist_latent_dims", "frey_face_latent_dims", "n_train", "seeds",
)  # fmt: skip
OPTIONAL = ("samples_of_other_seeds", "samples_of_curves")


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
    given = dict(values) if isinstance(values, dict) else {}
    given.pop("preset", None)
    if set(KEYS) - set(given) or set(given) - {*KEYS, *OPTIONAL}:
        lacks = sorted(set(KEYS) - set(given))
        raise ValueError(
            f"{file} must say {', '.join(KEYS)}: it lacks {', '.join(lacks) or 'none'}, and has "
            f"{', '.join(map(str, given))}"
        )
    like = read("standard") | dict.fromkeys(OPTIONAL, 1)
    try:
        found = {name: checked(name, typed(name, v, like[name])) for name, v in given.items()}
    except ValueError as error:
        raise ValueError(f"in {file}, {error}") from error
    return {"preset": preset} | found


def checked(name: str, value: Any) -> Any:
    """A setting's value; ValueError for one that it cannot have."""
    if name == "allow_embedded":
        if value not in (True, False):
            raise ValueError(f"allow_embedded is {value!r}, but must be True or False")
        return bool(value)
    if name in (*OPTIONAL, "samples"):
        if not is_whole(value) or value < 1:
            raise ValueError(f"{name} is {value!r}, but must be a whole number of at least 1")
        return value
    least = 0 if name == "seeds" else 1
    if not isinstance(value, list) or not all(is_whole(n) and n >= least for n in value):
        raise ValueError(
            f"{name} is {value!r}, but must be a list of whole numbers of at least {least}"
        )
    return value


def is_whole(value: Any) -> bool:
    """Whether `value` is a whole number, which True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def typed(name: str, value: Any, default: Any) -> Any:
    """A parameter as it was meant: papermill's ``-p`` passes all but numbers as strings.

    None is the `default`. Where that is no string, a string is read as Python: "[0, 1]", "None".
    Where it is a list, one value is a list of one; where it is a whole number, 1e6 is 10^6. Raises
    ValueError for what cannot stand in the default's place.
    """
    if isinstance(value, str) and not isinstance(default, str):
        with contextlib.suppress(ValueError, SyntaxError, TypeError):  # a word stays a word
            value = ast.literal_eval(value)
    if value is None:
        return default
    if isinstance(default, list):
        return list(value) if isinstance(value, list | tuple) else [value]
    if isinstance(value, list | tuple | dict):
        raise ValueError(f"{name} is {value!r}, but must be one value")
    if isinstance(value, str) and not isinstance(default, str | None):
        kind = "True or False" if isinstance(default, bool) else f"a number, as {default!r} is"
        raise ValueError(f"{name} is {value!r}, but must be {kind}")
    if is_whole(default) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
