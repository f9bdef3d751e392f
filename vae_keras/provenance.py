"""How a figure came about: what its JSON says, and whether it is still fresh."""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
import time
from pathlib import Path

import nbformat

from vae_keras import datasets, paths
from vae_keras.presets import assigned
from vae_keras.version import __version__

_IMPORTED = time.perf_counter()  # a notebook imports the kit in its first cell
PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy", "matplotlib", "seaborn")


def parameter_names(name: str) -> list[str]:
    """The names in the parameters cell of ``reproduce/<name>.ipynb``, in order."""
    (cell,) = [c for c in _cells(name) if "parameters" in c.metadata.get("tags", [])]
    return [line.split(" = ")[0] for line in cell.source.splitlines() if assigned(line)]


def _cells(name: str) -> list:
    return nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", as_version=4).cells


def source_hash(name: str) -> str:
    """A hash of the notebook's code and of the library: another value, another figure perhaps."""
    digest = hashlib.sha256()
    for cell in _cells(name):
        if cell.cell_type == "code":
            digest.update(cell.source.encode())
    package = Path(__file__).parent
    for file in sorted(package.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def record(name: str, parameters: dict, runs: list, files: list[str]) -> dict:
    """What the JSON beside a figure holds; `runs` are those of `vae_keras.experiments`."""
    return {
        "figure": name,
        "preset": parameters["preset"],
        "parameters": parameters,
        "runs": [_summary(run) for run in runs],
        "data": {
            run.data.name: {
                "title": run.data.title,
                "embedded": run.data.embedded,
                "source": run.data.source,
            }
            for run in runs
        },
        "device": device(),
        "wall_time_s": round(time.perf_counter() - _IMPORTED, 1),
        "versions": {
            "vae_keras": __version__,
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in PACKAGES},
        },
        "commit": commit(),
        "sources": source_hash(name),
        "files": files,
    }


def _summary(run) -> dict:
    """The settings of a run and how it went; its curve stands in the figure's CSV."""
    went = {key: value for key, value in run.record.items() if key not in ("experiment", "curve")}
    about = {"data": run.data.title, "embedded": run.data.embedded}
    return run.record["experiment"] | went | about


def device() -> str:
    """The accelerator that TensorFlow sees, else the processor."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return ", ".join(tf.config.experimental.get_device_details(g)["device_name"] for g in gpus)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"CPU, {len(models)} x {models[0]}" if models else f"CPU, {platform.machine()}"


def commit() -> str | None:
    """The commit of the checkout, `-dirty` after it where sources differ; None outside git."""

    def git(*arguments):
        done = subprocess.run(["git", *arguments], cwd=paths.ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    if head is None:
        return None
    changed = git("status", "--porcelain", "--", "vae_keras", "reproduce")
    return head + ("-dirty" if changed else "")


def is_fresh(name: str, values: dict, figures: Path) -> bool:
    """Whether `figures` holds what ``reproduce/<name>.ipynb`` would draw with these parameters.

    Fresh means: by these sources, with these values of the parameters named, every file there, and
    no embedded data where the real data are found by now.
    """
    try:
        found = json.loads((figures / f"{name}.json").read_text())
        return (
            found["sources"] == source_hash(name)
            and all(found["parameters"].get(key) == value for key, value in values.items())
            and all((figures / file).is_file() for file in found["files"])
            and not any(
                datasets.locate(real)
                for real, stand_in in datasets.STAND_IN.items()
                if stand_in in found["data"]
            )
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
