"""How a run survives a kill: all of its state in one file, weights, optimiser, counters, record.

The file is written whole or not at all, so a process may end at any moment; the next one reads the
last whole file and goes on with the same numbers.
"""

import io
import json
from pathlib import Path
from typing import IO

import keras
import numpy as np

from vae_keras import _files


def write(file: Path, model: keras.Model, record: dict) -> None:
    """Write all the state of a run under way."""
    buffer = io.BytesIO()
    np.savez(buffer, *[v.numpy() for v in _state(model)], record=json.dumps(record))
    _files.replace(file, buffer.getvalue())


def read(file: Path) -> tuple[list[np.ndarray], dict]:
    """All of it: the values of the state, and the record so far."""
    with np.load(io.BytesIO(file.read_bytes())) as saved:
        values = [saved[f"arr_{i}"] for i in range(len(saved.files) - 1)]
        return values, json.loads(str(saved["record"]))


def restore(file: Path, model: keras.Model) -> dict:
    """Bring `model` to where it was, and return the record so far."""
    values, record = read(file)
    for variable, value in zip(_state(model), values, strict=True):
        variable.assign(value)
    return record


def read_record(file: Path | IO[bytes]) -> dict:
    """The record so far, without the rest."""
    with np.load(file) as saved:
        return json.loads(str(saved["record"]))


def _state(model):
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]
