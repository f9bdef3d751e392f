"""The store of runs: one folder per run, files written atomically, one writing process per run.

results/runs/<key>/checkpoint.npz        the latest state of the run (weights, optimiser, counters),
                                         and its record
results/runs/<key>/model-<samples>.keras the trained model at each requested number of samples,
results/runs/<key>/run-<samples>.json    and, written last, the record up to there
results/runs/.<key>.lock                 held by the process that trains the run

A process may be killed at any moment. The next one restores the last checkpoint and continues with
the same numbers.
"""

import contextlib
import io
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import filelock
import keras
import numpy as np

from vae_keras import _files
from vae_keras.reproduction import paths

UNREADABLE = (  # raised by reading a damaged or foreign file
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
CHECKPOINT = "checkpoint.npz"
OF_A_RUN = re.compile(rf"{re.escape(CHECKPOINT)}|model-\d+\.keras|run-\d+\.json")


class StoreError(RuntimeError):
    """A stored file cannot be read or written; the message says which, and what to do."""


def runs_folder() -> Path:
    """The folder of all runs."""
    return paths.results() / "runs"


@contextlib.contextmanager
def claim(key: str) -> Iterator[bool]:
    """Try to lock the run `key` for training within this context; yields whether it succeeded.

    The lock is released when its process ends, even if it is killed.
    """
    with _writing(runs_folder()):
        runs_folder().mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(runs_folder() / f".{key}.lock")
        try:
            held = lock.acquire(blocking=False)
        except filelock.Timeout:
            held = None
    if held is None:
        yield False
        return
    with held:
        with _writing(runs_folder()):
            # Left by a process that was killed while writing.
            for part in (runs_folder() / key).glob(".*.part*"):
                part.unlink()
        yield True


def is_claimed(key: str) -> bool:
    """Whether a process trains the run `key` now; False if the store is not writable."""
    try:
        with claim(key) as mine:
            return not mine
    except StoreError:
        return False


def is_finished(key: str, samples: int) -> bool:
    """Whether the record of the run at `samples` training samples is stored."""
    return record_file(key, samples).exists()


def read_record(key: str, samples: int) -> dict | None:
    """The record of a run up to `samples`, or None. Raises StoreError for a bad file."""
    file = record_file(key, samples)
    if not file.exists():
        return None
    with _reading(file, key):
        return dict(json.loads(file.read_bytes()))


def read_progress(key: str) -> dict | None:
    """The record in the checkpoint of a run; None and StoreError as in `read_record`."""
    file = runs_folder() / key / CHECKPOINT
    if not file.exists():
        return None
    with _reading(file, key), np.load(file) as saved:
        return dict(json.loads(str(saved["record"])))


def samples(key: str) -> int:
    """Training samples of the checkpoint, 0 without one; StoreError as in `read_record`."""
    record = read_progress(key)
    return record["samples"] if record else 0


def has_model(key: str, samples: int) -> bool:
    """Whether the model after `samples` training samples is stored."""
    return model_file(key, samples).exists()


def load_model(key: str, samples: int) -> keras.Model:
    """The model after `samples` training samples. Raises StoreError for a bad file."""
    file = model_file(key, samples)
    with _reading(file, key):
        if not _is_whole(file):
            raise ValueError("it is incomplete or damaged")
        return keras.saving.load_model(file)


def _is_whole(file):
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except UNREADABLE:
        return False


def mend(key: str, samples: int) -> str:
    """Delete a damaged record or model, so that it is made again; returns a message, or "".

    If the checkpoint is at `samples`, making it again takes seconds.
    """
    record, model = record_file(key, samples), model_file(key, samples)
    found = [model] if model.exists() and not _is_whole(model) else []
    try:
        read_record(key, samples)
    except StoreError:
        found.append(record)
    if not found:
        return ""
    with _writing(runs_folder() / key):
        for file in {*found, record}:
            file.unlink(missing_ok=True)
    return f"damaged, so made again: {', '.join(file.name for file in found)} of {key}"


def finish(key: str, samples: int, model: keras.Model, record: dict) -> None:
    """Store the model after `samples` training samples, then its record."""
    file = model_file(key, samples)
    partial = file.with_name(f".{file.stem}.part.keras")  # Keras requires this suffix
    with _writing(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            model.save(partial)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)  # left if the disk is full
        _files.replace(record_file(key, samples), (json.dumps(record, indent=2) + "\n").encode())


def record_file(key: str, samples: int) -> Path:
    """The file of the record of a run up to `samples`."""
    return runs_folder() / key / f"run-{samples}.json"


def model_file(key: str, samples: int) -> Path:
    """The file of the model of a run after `samples`."""
    return runs_folder() / key / f"model-{samples}.keras"


def checkpoint(key: str, model: keras.Model, record: dict) -> None:
    """Store the state of a run in progress."""
    buffer = io.BytesIO()
    np.savez(buffer, *[v.numpy() for v in _state(model)], record=json.dumps(record))
    with _writing(runs_folder() / key):
        _files.replace(runs_folder() / key / CHECKPOINT, buffer.getvalue())


def restore(key: str, model: keras.Model) -> dict | None:
    """Restore `model` from its checkpoint and return the record; None without a checkpoint."""
    file = runs_folder() / key / CHECKPOINT
    if not file.exists():
        return None
    with _reading(file, key):
        values, record = _read_checkpoint(file)
        for variable, value in zip(_state(model), values, strict=True):
            variable.assign(value)
    return record


def _state(model):
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def _read_checkpoint(file: Path) -> tuple[list[np.ndarray], dict]:
    """The values of the state, and the record so far."""
    with np.load(io.BytesIO(file.read_bytes())) as saved:
        values = [saved[f"arr_{i}"] for i in range(len(saved.files) - 1)]
        return values, json.loads(str(saved["record"]))


def pack(key: str) -> dict[str, bytes]:
    """The files of a run by name, for `unpack` in another store."""
    folder = runs_folder() / key
    with _writing(folder):
        files = [file for file in folder.glob("*") if OF_A_RUN.fullmatch(file.name)]
        return {file.name: file.read_bytes() for file in files if file.is_file()}


def unpack(key: str, files: dict[str, bytes]) -> None:
    """Store the files of a run, records last. The caller must hold `claim`."""
    with _writing(runs_folder() / key):
        for name in sorted(files, key=lambda name: name.endswith(".json")):
            _files.replace(runs_folder() / key / name, files[name])


def records() -> dict[str, dict]:
    """Key -> `state` and, if there is one, the record of each run in the store.

    `state` is "training" (a process trains it now), "stopped" (before its target), "finished" or
    "unreadable".
    """
    found: dict[str, dict] = {}
    for folder in sorted(path for path in runs_folder().glob("*") if path.is_dir()):
        key = folder.name
        record: dict = {}
        state = "unreadable"
        with contextlib.suppress(StoreError):
            with _reading(folder / CHECKPOINT, key):
                _, record = _read_checkpoint(folder / CHECKPOINT)
            at_rest = any(_reached(file) == record["samples"] for file in folder.glob("run-*.json"))
            state = "finished" if at_rest else "stopped"
        if state != "finished" and is_claimed(key):
            state = "training"
        found[key] = {"state": state, **record}
    return found


def _reached(file):
    with _reading(file, file.parent.name):
        return json.loads(file.read_bytes())["samples"]


def drop(key: str) -> None:
    """Delete a run. Raises StoreError if there is none, or a process trains it."""
    folder = runs_folder() / key
    if folder not in runs_folder().glob("*") or not folder.is_dir():  # excludes ".."
        raise StoreError(f"there is no run {key!r} in {runs_folder()}")
    with claim(key) as mine, _writing(folder):
        if not mine:
            raise StoreError(f"{key} is being trained by another process: stop that first")
        shutil.rmtree(folder)


def bad(file: Path, reason: str, key: str) -> StoreError:
    """The error for an invalid stored file; its message says how to lose the least."""
    return StoreError(
        f"{file} cannot be used ({reason}). Delete only this file, and the next start makes it "
        "again from the other files of the run; `python -m vae_keras runs --drop "
        f"{key}` deletes the whole run"
    )


@contextlib.contextmanager
def _reading(file: Path, key: str) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise bad(file, reason, key) from error


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror or error}). Earlier files are "
            "intact: make room or set VAE_KERAS_RESULTS to another folder, and start again"
        ) from error
