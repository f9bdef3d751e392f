"""The provenance of a figure: the contents of its JSON, and whether it is still fresh."""

import ast
import dataclasses
import hashlib
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat

from vae_keras import _files, datasets
from vae_keras.reproduction import paths, version
from vae_keras.reproduction.experiments import RECIPE
from vae_keras.reproduction.settings import FIGURES, Pictures, Settings
from vae_keras.reproduction.version import commit, device

CODE = paths.NOTEBOOKS / "code.json"
_IMPORTED = time.perf_counter()  # a notebook imports this in its first cell
# The code and data, besides notebook and runs, that determine a figure.
DECIDES = (
    "bounds.py", "marginal_likelihood.py", "mcmc.py", "traversals.py",
    "reproduction/experiments.py", "reproduction/figures.py", "reproduction/measures.py",
    "reproduction/paper.mplstyle", "reproduction/paper.py", "reproduction/paper_figure2.csv",
    "reproduction/paper_figure3.csv", "reproduction/settings.py", "reproduction/style.py",
)  # fmt: skip
PACKAGES = (
    "tensorflow", "keras", "tensorflow-probability", "numpy", "scipy", "pandas", "matplotlib",
    "seaborn",
)  # fmt: skip


def code(name: str) -> list[str]:
    """The code cells of ``reproduce/<name>.ipynb`` as it is now."""
    cells = nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    return [cell.source.strip() for cell in cells if cell.cell_type == "code"]


def is_committed(name: str) -> bool:
    """Whether the notebook's code matches its hash in ``reproduce/code.json``."""
    return _hash(*code(name)) == json.loads(CODE.read_text()).get(name)


def is_own_code(name: str, executed: list[str]) -> bool:
    """Whether the cells that ran are those of the project's notebook, apart from parameters.

    `executed`: ``In`` of the notebook. Cells that only assign literals to parameters, as injected
    by papermill, are ignored, because the settings contain their values.
    """
    names = {field.name for field in dataclasses.fields(FIGURES[name])}
    own = code(name)
    ran = [cell.strip() for cell in executed if cell.strip()]
    others = [cell for cell in ran if cell not in own and not _assigns_only(cell, names)]
    return bool(ran) and not others and is_committed(name)


def _assigns_only(source: str, names: set[str]) -> bool:
    """Whether a cell only assigns literals to some of `names`."""
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


def write_code() -> None:
    """Write ``reproduce/code.json``, after an intended change to a figure's notebook."""
    hashes = {name: _hash(*code(name)) for name in paths.NAMES}
    _files.replace(CODE, (json.dumps(hashes, indent=2) + "\n").encode())


def drawing_hash(name: str, executed: list[str] | None = None) -> str:
    """A hash of what determines a figure besides its settings and its runs.

    It covers the notebook's code, the modules that measure and draw, the recipe and the paper's
    points, but no comments or docstrings. `executed`: the cells that ran, if not the notebook's.
    """
    cells = code(name) if executed is None else executed
    shown = [hashlib.sha256((paths.ROOT / f).read_bytes()).hexdigest() for f in FIGURES[name].reads]
    return _hash(RECIPE, version.hash_of_code(DECIDES), *shown, *cells)


def _hash(*parts):
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def record(
    settings: Settings,
    runs: list,
    files: dict[str, bytes],
    executed: list[str] | None = None,
) -> dict:
    """The contents of a figure's JSON file.

    `runs`: `vae_keras.reproduction.runs.Run` objects. `executed`: as in `drawing_hash`.
    """
    return {
        "figure": settings.name,
        "preset": settings.preset,
        "parameters": settings.parameters,
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
        "finished": _finished(settings, runs),
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
        "sources": version.SOURCES,
        "drawing": drawing_hash(settings.name, executed),
        "code": "the project's notebook" if executed is None else "other than its notebook's",
        "files": {file: hashlib.sha256(files[file]).hexdigest() for file in sorted(files)},
    }


def kept(folder: Path, name: str, made: Iterable[str]) -> dict[str, str | None]:
    """The tables of a figure in `folder` that are not among those `made` now: file -> its commit.

    Only those that are as they were written.
    """
    try:
        before = json.loads((folder / f"{name}.json").read_text())
        return {
            file: before.get("kept", {}).get(file, before["commit"])
            for file, digest in before["files"].items()
            if file.endswith(".csv") and file not in made
            and hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
        }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or a damaged one
        return {}


def _finished(settings: Settings, runs: list) -> bool:
    """Whether the figure has all of its runs, each trained to its end."""
    if isinstance(settings, Pictures) and settings.pretrained:
        return True
    ends = {e.key: e.reached(e.samples) for e, _ in settings.runs()}
    return ends == {run.experiment.key: run.samples for run in runs}


def _lock():
    """A hash of the lock file, which pins all other installed packages."""
    file = paths.ROOT / "requirements.lock"
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.exists() else None


def _summary(run: Any) -> dict:
    """The settings and record of a run, without its curve, which is in the figure's CSV."""
    went = {
        key: value
        for key, value in run.record.items()
        if key not in ("experiment", "curve", "samples")
    }
    about = {"data": run.learned_from, "embedded": run.data.embedded}
    if run.shipped_as:
        about["model"] = f"{run.shipped_as}, as it ships: weights in half precision"
    return run.record["experiment"] | went | about


def is_fresh(settings: Settings, folder: Path) -> bool:
    """Whether `folder` holds the figure that its notebook would draw with these settings.

    A figure is fresh if its parameters and its code (`drawing_hash`) are the same, its runs were
    finished, its files are unchanged, and it shows no embedded data for which the real data can
    now be found.
    """
    name = settings.name
    try:
        found = json.loads((folder / f"{name}.json").read_text())
        return (
            found["drawing"] == drawing_hash(name)
            and is_committed(name)
            and found["parameters"] == settings.parameters
            and found["finished"]
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
