"""A stored run as one file, for another machine's store, or to be archived and shared.

A zip file of the run's own files and of ``manifest.json``: the run's name, the recipe, a SHA-256 of
each file. What arrives is checked against it, and against the recipe of this kit, before the store
is touched.
"""

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from vae_keras import _files
from vae_keras.reproduction import checkpoints, store
from vae_keras.reproduction.experiments import RECIPE, Experiment

MANIFEST = "manifest.json"
OF_A_RUN = re.compile(rf"{re.escape(store.CHECKPOINT)}|model-\d+\.keras|run-\d+\.json")


def export(key: str, folder: Path) -> Path:
    """Write the run `key` to ``folder/<key>.zip``, whole or not at all, and return that.

    Raises StoreError where there is no such run, or while a process trains it, OSError where
    `folder` cannot be written.
    """
    if key not in store.records():
        raise store.StoreError(f"there is no run {key!r} in {store.runs_folder()}")
    with store.claim(key) as mine:
        if not mine:
            raise store.StoreError(f"{key} is being trained by another process: stop that first")
        files = store.pack(key)
    hashes = {name: _hash(content) for name, content in sorted(files.items())}
    manifest = {"run": key, "recipe": RECIPE, "sha256": hashes}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ({MANIFEST: json.dumps(manifest, indent=2)} | files).items():
            archive.writestr(name, content)
    target = folder / f"{key}.zip"
    _files.replace(target, buffer.getvalue())
    return target


def take(file: Path) -> str:
    """Store the run in `file`, which `export` wrote, and return its name.

    Raises StoreError, and leaves the store as it was, for a file that is not whole, a run of
    another recipe, one that this store has as far already, or one that a process trains.
    """
    key, files = _read(file)
    with store.claim(key) as mine:
        if not mine:
            raise store.StoreError(f"{key} is being trained by another process: stop that first")
        stored = store.read_progress(key)
        if stored and stored["samples"] >= _progress(files)["samples"]:
            raise store.StoreError(
                f"{store.runs_folder()} has {key} as far already: {stored['samples']:,} samples"
            )
        store.unpack(key, files)
    return key


def _read(file: Path) -> tuple[str, dict[str, bytes]]:
    """The name of the run in `file`, and its files, checked."""
    try:
        with zipfile.ZipFile(file) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(files.pop(MANIFEST))
        key, recipe, hashes = manifest["run"], manifest["recipe"], manifest["sha256"]
        if {name: _hash(content) for name, content in files.items()} != hashes:
            raise ValueError("its files have other hashes than it says")
        if strange := [name for name in files if not OF_A_RUN.fullmatch(name)]:
            raise ValueError(f"it holds {strange[0]!r}")
        if recipe == RECIPE and Experiment(**_progress(files)["experiment"]).key != key:
            raise ValueError("its run is another than it says")
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise store.StoreError(
            f"{file} is not a whole run that `runs --export` wrote ({error}): export it again"
        ) from error
    if recipe != RECIPE:
        raise store.StoreError(
            f"{file} holds a run of recipe {recipe}, but this kit has recipe {RECIPE}, by which "
            "the same settings give other numbers: take it with the kit that made it"
        )
    return key, files


def _progress(files: dict[str, bytes]) -> dict[str, Any]:
    return checkpoints.read_record(io.BytesIO(files[store.CHECKPOINT]))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
