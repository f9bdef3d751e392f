"""Read presets, and convert and check parameters that a user typed."""

import ast
import contextlib
from pathlib import Path
from typing import Any

import yaml

from vae_keras.reproduction import paths

NAMES = ("smoke", "quick", "standard", "paper")
# `samples`: training samples evaluated by each model. `samples_of_curves`: the same for models that
# are drawn as curves. `samples_of_other_seeds`: a limit for all seeds of a curve but the first.
# `allow_embedded`: whether to use embedded data if the real data are not found.
# `mnist_latent_dims`, `frey_face_latent_dims`: N_z of figure 2's panels. `n_train`: sizes of figure
# 3's training sets. `seeds`: of the runs.
KEYS = (
    "samples", "allow_embedded", "mnist_latent_dims", "frey_face_latent_dims", "n_train", "seeds",
)  # fmt: skip
OPTIONAL = ("samples_of_other_seeds", "samples_of_curves")


def label(preset: str) -> str:
    """The name of a preset's folders: the preset's name, or its file's without the suffix."""
    return preset if preset in NAMES else Path(preset).stem


def read(preset: str) -> dict:
    """The values of a preset: ``reproduce/presets/<preset>.yaml``, or a YAML file of one's own.

    Raises ValueError for an unknown preset, or a file with invalid keys or values.
    """
    if preset in NAMES:
        return yaml.safe_load((paths.PRESETS / f"{preset}.yaml").read_text())
    file = Path(preset).expanduser()
    if file.suffix not in (".yaml", ".yml") or label(preset) in (*NAMES, "custom"):
        raise ValueError(
            f"unknown preset {preset!r}: one of {', '.join(NAMES)}, or a YAML file of your own, "
            "with another name"
        )
    try:
        values = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{file} cannot be read as a preset: {error}") from error
    given = dict(values) if isinstance(values, dict) else {}
    given.pop("preset", None)
    lacks, unknown = set(KEYS) - set(given), set(given) - {*KEYS, *OPTIONAL}
    wrong = [f"it lacks {', '.join(sorted(lacks))}"] if lacks else []
    wrong += [f"it has the unknown key {key}" for key in sorted(map(str, unknown))]
    if wrong:  # a misspelt key is both
        raise ValueError(f"{file} must set {', '.join(KEYS)}: {', and '.join(wrong)}")
    like = read("standard") | dict.fromkeys(OPTIONAL, 1)
    try:
        found = {name: checked(name, typed(name, v, like[name])) for name, v in given.items()}
    except ValueError as error:
        raise ValueError(f"in {file}, {error}") from error
    return {"preset": preset} | found


def checked(name: str, value: Any) -> Any:
    """The value of a setting. Raises ValueError if it is invalid."""
    if name == "allow_embedded":
        if value not in (True, False):
            raise ValueError(f"allow_embedded is {value!r}, but must be True or False")
        return bool(value)
    if name in (*OPTIONAL, "samples"):
        if not is_whole(value) or value < 1:
            raise ValueError(f"{name} is {value!r}, but must be an integer of at least 1")
        return value
    least = 0 if name == "seeds" else 1
    if not isinstance(value, list) or not all(is_whole(n) and n >= least for n in value):
        raise ValueError(
            f"{name} is {value!r}, but must be a list of whole numbers of at least {least}"
        )
    return value


def is_whole(value: Any) -> bool:
    """Whether `value` is a whole number. True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def typed(name: str, value: Any, default: Any) -> Any:
    """Convert a parameter to the type of `default`: papermill's ``-p`` passes lists as strings.

    None becomes `default`. Unless `default` is a string, a string is parsed as Python: "[0, 1]",
    "None". If it is a list, a single value becomes a list; if it is a whole number, 1e6 becomes
    10**6. Raises ValueError if the type does not fit.
    """
    if isinstance(value, str) and not isinstance(default, str):
        with contextlib.suppress(ValueError, SyntaxError, TypeError):  # not Python: keep the string
            value = ast.literal_eval(value)
    if value is None:
        return default
    if isinstance(default, list):
        return list(value) if isinstance(value, list | tuple) else [value]
    if isinstance(value, list | tuple | dict):
        raise ValueError(f"{name} is {value!r}, but must be one value")
    if isinstance(value, str) and not isinstance(default, str | None):
        kind = "True or False" if isinstance(default, bool) else f"a number, like {default!r}"
        raise ValueError(f"{name} is {value!r}, but must be {kind}")
    if is_whole(default) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
