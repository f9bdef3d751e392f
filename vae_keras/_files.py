"""Atomic writing of files."""

import os
from pathlib import Path


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
    """Create `folder` and, briefly, a file in it; raises OSError if that fails."""
    replace(folder / ".vae_keras_can_write", b"")
    (folder / ".vae_keras_can_write").unlink()
