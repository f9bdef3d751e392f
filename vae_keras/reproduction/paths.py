"""Where the reproduction keeps things: in the checkout that it stands in, or else right here."""

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = CHECKOUT if (CHECKOUT / "reproduce" / "run_all.sh").exists() else Path.cwd()
NOTEBOOKS = ROOT / "reproduce"
PRESETS = NOTEBOOKS / "presets"
NAMES = sorted(file.stem for file in NOTEBOOKS.glob("fig_*.ipynb"))  # of the figures
FIGURES = ROOT / "figures"


_results: ContextVar[str | None] = ContextVar("results", default=None)


def results() -> Path:
    """The store of runs: ``VAE_KERAS_RESULTS``, else ``results/`` in the project."""
    if folder := _results.get():
        return Path(folder)
    return Path(os.environ.get("VAE_KERAS_RESULTS") or ROOT / "results").expanduser()


@contextlib.contextmanager
def results_in(folder: str) -> Iterator[None]:
    """Let `results` be `folder` for as long as the context lasts, in this thread."""
    token = _results.set(folder)
    try:
        yield
    finally:
        _results.reset(token)


def figures(preset: str) -> Path:
    """The folder of a preset's figures, which no other run writes to: ``figures/<preset>/``.

    In a project that cannot be written it lies in the folder that ``VAE_KERAS_RESULTS`` names.
    Raises OSError where that names none.
    """
    folder = next(f for f in (FIGURES / preset, FIGURES, ROOT) if f.exists())
    if os.access(folder, os.W_OK):
        return FIGURES / preset
    if os.environ.get("VAE_KERAS_RESULTS"):
        return results() / "figures" / preset
    raise OSError(
        f"{FIGURES} cannot be written: let VAE_KERAS_RESULTS name a folder for runs and figures, "
        "or say --figures-dir (in a notebook: the parameter figures_dir)"
    )


def shown(path: Path) -> str:
    """A path as a reader wants it: from the project's root, where it lies below that."""
    path = path.absolute()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
