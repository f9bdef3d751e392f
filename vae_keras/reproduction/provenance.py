"""How a figure came about: what its JSON says, and whether it is still fresh."""

import ast
import dataclasses
import hashlib
import importlib.metadata
import json
import platform
import time
from pathlib import Path
from typing import Any

import nbformat

from vae_keras import _files, datasets
from vae_keras.reproduction import paths, version
from vae_keras.reproduction.experiments import RECIPE
from vae_keras.reproduction.settings import FIGURES, Pictures, Settings
from vae_keras.reproduction.version import commit, device

CODE = paths.NOTEBOOKS / "code.json"
_IMPORTED = time.perf_counter()  # a notebook imports the kit in its first cell
# What else decides a figure: the code that measures and draws, and what it draws beside ours.
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

    `executed`: ``In`` of the notebook. Cells of parameters alone, as papermill injects one, give
    literals to names of parameters: what they say is in the settings.
    """
    names = {field.name for field in dataclasses.fields(FIGURES[name])}
    own = code(name)
    ran = [cell.strip() for cell in executed if cell.strip()]
    others = [cell for cell in ran if cell not in own and not _assigns_only(cell, names)]
    return bool(ran) and not others and is_committed(name)


def _assigns_only(source: str, names: set[str]) -> bool:
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


def write_code() -> None:
    """Write ``reproduce/code.json``: for who has changed a figure's notebook, and means it."""
    names = sorted(file.stem for file in paths.NOTEBOOKS.glob("fig_*.ipynb"))
    hashes = {name: _hash(*code(name)) for name in names}
    _files.replace(CODE, (json.dumps(hashes, indent=2) + "\n").encode())


def drawing_hash(name: str, executed: list[str] | None = None) -> str:
    """A hash of what decides a figure beside its settings and its runs.

    That is the notebook's code, what measures and draws, the recipe, the paper's points; no comment
    and no docstring. `executed`: the cells that ran, where they were not the notebook's.
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
    """What the JSON beside a figure holds.

    `runs`: those of `vae_keras.reproduction.runs`; `executed`: as in `drawing_hash`.
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


def _finished(settings: Settings, runs: list) -> bool:
    """Whether all runs of the figure are there, each as far as it was to come."""
    if isinstance(settings, Pictures) and settings.pretrained:
        return True
    ends = {e.key: e.reached(e.samples) for e, _ in settings.runs()}
    return ends == {run.experiment.key: run.samples for run in runs}


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
    if run.shipped_as:
        about["model"] = f"{run.shipped_as}, as it ships: weights in half precision"
    return run.record["experiment"] | went | about


def is_fresh(settings: Settings, folder: Path) -> bool:
    """Whether `folder` holds what the figure's notebook would draw with these settings.

    Fresh means: with the very same parameters, by the same code (`drawing_hash`), from runs that
    had come to their end, every file there as it was written, and no embedded data where the real
    data are found by now.
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
