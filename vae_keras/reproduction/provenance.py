"""How a figure came about: what its JSON says, and whether it is still fresh."""

import hashlib
import importlib.metadata
import json
import platform
import time
from pathlib import Path
from typing import Any

import nbformat

from vae_keras import _files, datasets
from vae_keras.reproduction import paths, presets, version
from vae_keras.reproduction.version import commit, device

CODE = paths.NOTEBOOKS / "code.json"
_IMPORTED = time.perf_counter()  # a notebook imports the kit in its first cell
OF_TRAINING = ("samples", "seed", "step_size")  # parameters that a shipped model does not take
PACKAGES = (
    "tensorflow", "keras", "tensorflow-probability", "numpy", "scipy", "pandas", "matplotlib",
    "seaborn",
)  # fmt: skip


def parameters(name: str, preset: str, given: dict | None = None) -> dict:
    """All that decides figure `name`: its parameters but `figures_dir`, as the preset has them.

    `given`: values in place of those of the parameters cell of ``reproduce/<name>.ipynb``. None
    stands for the preset's own value, as in `presets.resolve`.
    """
    (cell,) = [c for c in _cells(name) if "parameters" in c.metadata.get("tags", [])]
    values = presets.assigned(cell.source)
    if (given or {}).get("pretrained"):  # which says itself what it was trained with
        values = {key: value for key, value in values.items() if key not in OF_TRAINING}
    given, of_preset = (given or {}) | {"preset": preset}, presets.read(preset)
    values = {key: given.get(key, value) for key, value in values.items() if key != "figures_dir"}
    return {
        key: of_preset[key] if value is None and key in of_preset else value
        for key, value in values.items()
    }


def _cells(name: str) -> list:
    return nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", as_version=4).cells


def code(name: str) -> list[str]:
    """The code cells of ``reproduce/<name>.ipynb``, as the file has them now."""
    return [cell.source.strip() for cell in _cells(name) if cell.cell_type == "code"]


def is_committed(name: str) -> bool:
    """Whether the notebook's code is that of the project, by ``reproduce/code.json``."""
    return _hash(*code(name)) == json.loads(CODE.read_text()).get(name)


def is_own_code(name: str, executed: list[str]) -> bool:
    """Whether the cells that ran are those of the project's notebook, but for parameters.

    `executed`: ``In`` of the notebook. Cells of parameters alone, as papermill injects one, assign
    literals to names of its parameters cell: what they say is in `parameters`.
    """
    own, names = code(name), set(parameters(name, presets.NAMES[0])) | {"figures_dir"}
    ran = [cell.strip() for cell in executed if cell.strip()]
    others = [cell for cell in ran if cell not in own and not presets.assigns_only(cell, names)]
    return bool(ran) and not others and is_committed(name)


def write_code() -> None:
    """Write ``reproduce/code.json``: for who has changed a figure's notebook, and means it."""
    names = sorted(file.stem for file in paths.NOTEBOOKS.glob("fig_*.ipynb"))
    hashes = {name: _hash(*code(name)) for name in names}
    _files.replace(CODE, (json.dumps(hashes, indent=2) + "\n").encode())


def source_hash(name: str, executed: list[str] | None = None) -> str:
    """A hash of the notebook's code and of the package, with its data and its style.

    Another value, another figure perhaps. What a preset says is no part of it: `parameters` has it.
    `executed`: the cells that ran, where they were not the notebook's.
    """
    return _hash(version.SOURCES, *(code(name) if executed is None else executed))


def _hash(*parts):
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def record(
    name: str,
    values: dict,
    runs: list,
    files: dict[str, bytes],
    executed: list[str] | None = None,
) -> dict:
    """What the JSON beside a figure holds.

    `values`: what `parameters` gave; `runs`: those of `vae_keras.reproduction.runs`; `executed`: as
    in `source_hash`.
    """
    return {
        "figure": name,
        "preset": values["preset"],
        "parameters": values,
        "runs": [_summary(run) for run in runs],
        "data": {
            run.data.name: {
                "title": run.data.title,
                "embedded": run.data.embedded,
                "source": run.data.source,
                "sha256": run.data.sha256,
            }
            for run in runs
        },
        "so_far": presets.so_far(),
        "device": device(),
        "system": platform.platform(),
        "instructions": version.instructions(),
        "wall_time_s": round(time.perf_counter() - _IMPORTED, 1),
        "versions": {
            "vae_keras": version.__version__,
            "python": platform.python_version(),
            "lock": _lock(),
            **{package: importlib.metadata.version(package) for package in PACKAGES},
        },
        "commit": commit(),
        "sources": source_hash(name, executed),
        "code": "the project's notebook" if executed is None else "other than its notebook's",
        "files": {file: hashlib.sha256(files[file]).hexdigest() for file in sorted(files)},
    }


def _lock():
    """A hash of the lock file, by which all else that is installed is known."""
    file = paths.ROOT / "requirements.lock"
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.exists() else None


def _summary(run: Any) -> dict:
    """The settings of a run and how it went; its curve stands in the figure's CSV."""
    went = {
        key: value
        for key, value in run.record.items()
        if key not in ("experiment", "curve", "samples")
    }
    about = {"data": run.learned_from, "embedded": run.data.embedded}
    return run.record["experiment"] | went | about


def is_fresh(name: str, preset: str, folder: Path) -> bool:
    """Whether `folder` holds what ``reproduce/<name>.ipynb`` would draw at this preset.

    Fresh means: by these sources, with the very same parameters, from runs that had come to their
    end, every file there as it was written, and no embedded data where the real data are found by
    now.
    """
    try:
        found = json.loads((folder / f"{name}.json").read_text())
        return (
            found["sources"] == source_hash(name)
            and is_committed(name)
            and found["parameters"] == parameters(name, preset)
            and not found.get("so_far")
            and all(
                hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
                for file, digest in found["files"].items()
            )
            and not any(
                datasets.locate(real)
                for real, stand_in in datasets.STAND_IN.items()
                if stand_in in found["data"]
            )
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
