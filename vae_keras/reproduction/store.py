"""The store of runs: a folder a run, files written whole, one process at a time in each.

results/runs/<key>/checkpoint.npz    a run under way: all of its state, and its record so far
results/runs/<key>/model.keras       a finished one: the trained model,
results/runs/<key>/run.json          and, written last, its record
results/runs/.<key>.lock             held by the process that trains it
"""

import contextlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import filelock
import keras

from vae_keras import _files
from vae_keras.reproduction import checkpoints, paths

_UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile,
)  # fmt: skip
CHECKPOINT, MODEL, RECORD = "checkpoint.npz", "model.keras", "run.json"


class StoreError(RuntimeError):
    """A stored file cannot be read or written; the message says which, and what to do."""


def runs_folder() -> Path:
    """Where the runs are."""
    return paths.results() / "runs"


@contextlib.contextmanager
def claim(key: str) -> Iterator[bool]:
    """Whether this process alone may train the run `key`, for the length of the context.

    The lock ends with the process that holds it, however that ends.
    """
    with _writing(runs_folder()):
        runs_folder().mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(runs_folder() / f".{key}.lock")
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            lock = None
    if lock is None:
        yield False
        return
    with lock:
        with _writing(runs_folder()):
            for part in (runs_folder() / key).glob(".*.part"):  # of a process killed while writing
                part.unlink()
        yield True


def is_claimed(key: str) -> bool:
    """Whether some process trains the run `key` now: none where nothing can be written."""
    try:
        with claim(key) as mine:
            return not mine
    except StoreError:
        return False


def read_record(key: str) -> dict | None:
    """The record of a finished run; None where there is none. Raises StoreError for a bad file."""
    file = runs_folder() / key / RECORD
    if not file.exists():
        return None
    with _reading(file, key):
        return dict(json.loads(file.read_bytes()))


def read_progress(key: str) -> dict | None:
    """The record so far of a run under way; None and StoreError as in `read_record`."""
    file = runs_folder() / key / CHECKPOINT
    if not file.exists():
        return None
    with _reading(file, key):
        return checkpoints.read_record(file)


def load_model(key: str) -> keras.Model:
    """The trained model of a finished run. Raises StoreError for a bad file."""
    file = runs_folder() / key / MODEL
    with _reading(file, key):
        return keras.saving.load_model(file)


def finish(key: str, model: keras.Model, record: dict) -> None:
    """Store a trained model, then its record; the checkpoint is needed no longer."""
    folder = runs_folder() / key
    partial = folder / f".{MODEL}.part.keras"  # Keras insists on the ending
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        model.save(partial)
        partial.replace(folder / MODEL)
        _files.replace(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())
        (folder / CHECKPOINT).unlink(missing_ok=True)


def checkpoint(key: str, model: keras.Model, record: dict) -> None:
    """Store all the state of a run under way."""
    with _writing(runs_folder() / key):
        checkpoints.write(runs_folder() / key / CHECKPOINT, model, record)


def restore(key: str, model: keras.Model) -> dict | None:
    """Bring `model` to its checkpoint and return the record so far; None where there is none."""
    file = runs_folder() / key / CHECKPOINT
    if not file.exists():
        return None
    with _reading(file, key):
        return checkpoints.restore(file, model)


def records() -> dict[str, dict]:
    """Key -> what is known of each folder of the store: `state`, and its record where it has one.

    `state` is finished, training (by a process at work now), stopped or unreadable.
    """
    found = {}
    for folder in sorted(path for path in runs_folder().glob("*") if path.is_dir()):
        key = folder.name
        try:
            record, state = read_record(key), "finished"
            if record is None:
                state = "training" if is_claimed(key) else "stopped"
                with _reading(folder / CHECKPOINT, key):
                    record = checkpoints.read(folder / CHECKPOINT)[1]
        except StoreError:
            record, state = {}, "unreadable"
        found[key] = {"state": state, **record}
    return found


def drop(key: str) -> None:
    """Delete a run. Raises StoreError where there is none, or while a process trains it."""
    folder = runs_folder() / key
    if folder not in runs_folder().glob("*") or not folder.is_dir():  # not "..", for one
        raise StoreError(f"there is no run {key!r} in {runs_folder()}")
    with claim(key) as mine:
        if not mine:
            raise StoreError(f"{key} is being trained by another process: stop that first")
        with _writing(folder):
            shutil.rmtree(folder)


@contextlib.contextmanager
def _reading(file: Path, key: str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(
            f"{file} cannot be read ({reason}). `python -m vae_keras runs --drop {key}` deletes "
            "this run alone; the next start trains it again"
        ) from error


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror or error}). What was stored before is "
            "whole: make room or name another folder in VAE_KERAS_RESULTS, and start again"
        ) from error
