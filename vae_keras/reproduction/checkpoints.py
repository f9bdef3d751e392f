"""Checkpoints: one file with the whole state of a run (weights, optimiser, counters, record).

The file is written atomically, so a process may be killed at any moment. The next one restores the
last checkpoint and continues with the same numbers.
"""

import io
import json
from pathlib import Path
from typing import IO

import keras
import numpy as np

from vae_keras import _files


def write(file: Path, model: keras.Model, record: dict) -> None:
    """Write the state of a run in progress."""
    buffer = io.BytesIO()
    np.savez(buffer, *[v.numpy() for v in _state(model)], record=json.dumps(record))
    _files.replace(file, buffer.getvalue())


def read(file: Path) -> tuple[list[np.ndarray], dict]:
    """Read the values of the state, and the record so far."""
    with np.load(io.BytesIO(file.read_bytes())) as saved:
        values = [saved[f"arr_{i}"] for i in range(len(saved.files) - 1)]
        return values, json.loads(str(saved["record"]))


def restore(file: Path, model: keras.Model) -> dict:
    """Restore the state of `model`, and return the record so far."""
    values, record = read(file)
    for variable, value in zip(_state(model), values, strict=True):
        variable.assign(value)
    return record


def read_record(file: Path | IO[bytes]) -> dict:
    """Read the record so far, without the state."""
    with np.load(file) as saved:
        return json.loads(str(saved["record"]))


def _state(model):
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]
