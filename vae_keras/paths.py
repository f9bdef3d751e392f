"""Where the project keeps things."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "reproduce"
PRESETS = NOTEBOOKS / "presets"
FIGURES = ROOT / "figures"


def results() -> Path:
    """The store of runs: ``VAE_KERAS_RESULTS``, else ``results/`` in the project."""
    return Path(os.environ.get("VAE_KERAS_RESULTS") or ROOT / "results").expanduser()


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


def keras_cache() -> Path:
    """Keras's own data cache, ``~/.keras/datasets`` unless ``KERAS_HOME`` says otherwise."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home).expanduser() / "datasets"


def replace(path: Path, content: bytes) -> None:
    """Write `content` to `path` whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Make `folder` and write a file into it, for a moment; raises OSError where that fails."""
    replace(folder / ".vae_keras_can_write", b"")
    (folder / ".vae_keras_can_write").unlink()
