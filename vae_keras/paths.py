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
