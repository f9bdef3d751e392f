"""The folders of the reproduction: in the checkout, or else in the current directory."""

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = CHECKOUT if (CHECKOUT / "reproduce" / "run_all.sh").exists() else Path.cwd()
NOTEBOOKS = ROOT / "reproduce"
PRESETS = NOTEBOOKS / "presets"
NAMES = sorted(file.stem for file in NOTEBOOKS.glob("fig_*.ipynb"))
FIGURES = ROOT / "figures"

_results: ContextVar[str | None] = ContextVar("results", default=None)


def results() -> Path:
    """The folder of stored runs: ``VAE_KERAS_RESULTS``, else ``results/`` in the project."""
    if folder := _results.get():
        return Path(folder)
    return Path(os.environ.get("VAE_KERAS_RESULTS") or ROOT / "results").expanduser()


@contextlib.contextmanager
def results_in(folder: str) -> Iterator[None]:
    """A context within which `results` is `folder`, in this thread."""
    token = _results.set(folder)
    try:
        yield
    finally:
        _results.reset(token)


def figures(preset: str) -> Path:
    """The folder for figures of this preset and no other: ``figures/<preset>/``.

    If the project is not writable, it is below ``VAE_KERAS_RESULTS`` instead. Raises OSError if
    that is not set.
    """
    folder = next(f for f in (FIGURES / preset, FIGURES, ROOT) if f.exists())
    if os.access(folder, os.W_OK):
        return FIGURES / preset
    if os.environ.get("VAE_KERAS_RESULTS"):
        return results() / "figures" / preset
    raise OSError(
        f"{FIGURES} cannot be written: set VAE_KERAS_RESULTS to a folder for runs and figures, "
        "or use --figures-dir (in a notebook: the parameter figures_dir)"
    )


def shown(path: Path) -> str:
    """A path for display: relative to the project's root if it lies below that, else absolute."""
    path = path.absolute()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
