"""A stored run as one file, for another machine's store, or to be archived and shared.

A zip file of the run's own files and of ``manifest.json``: the run's name, a SHA-256 of each file.
What arrives is checked against it, and against the recipe of this kit, before the store is touched.
"""

import hashlib
import io
import json
import tempfile
import zipfile
from pathlib import Path

from vae_keras import _files
from vae_keras.reproduction import checkpoints, paths, records, store
from vae_keras.reproduction.experiments import RECIPE

MANIFEST = "manifest.json"
MOST_BYTES = 2**28  # of all files of a run together, more than any has


def export(key: str, folder: Path) -> Path:
    """Write the run `key` to ``folder/<key>.zip``, whole or not at all, and return that.

    Raises StoreError where there is no such run that can be read, or while a process trains it,
    OSError where `folder` cannot be written.
    """
    if store.records().get(key, {}).get("state", "unreadable") == "unreadable":
        raise store.StoreError(f"there is no run {key!r} in {store.runs_folder()}")
    with store.locked(key):
        files = store.pack(key)
    hashes = {name: _hash(content) for name, content in sorted(files.items())}
    manifest = {"run": key, "sha256": hashes}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ({MANIFEST: json.dumps(manifest, indent=2)} | files).items():
            archive.writestr(name, content)
    target = folder / f"{key}.zip"
    _files.replace(target, buffer.getvalue())
    return target


def import_run(file: Path) -> tuple[str, int]:
    """Store the run in `file`, which `export` wrote, and return its name and training samples.

    Raises StoreError, and leaves the store as it was, for a file that is not whole, a run of
    another recipe, one that this store has as far already, or one that a process trains.
    """
    key, samples, files = _read(file)
    with store.locked(key):
        if (stored := store.samples(key)) >= samples:
            raise store.StoreError(
                f"{store.runs_folder()} has {key} as far already: {stored:,} samples"
            )
        store.unpack(key, files)
    return key, samples


def _read(file: Path) -> tuple[str, int, dict[str, bytes]]:
    """The name of the run in `file`, how far it has come, and its files, checked."""
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(info.file_size for info in archive.infolist()) > MOST_BYTES:
                raise ValueError(f"it would take more than {MOST_BYTES // 2**20} MiB")
            files = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(files.pop(MANIFEST))
        key = manifest["run"]
        if {name: _hash(content) for name, content in files.items()} != manifest["sha256"]:
            raise ValueError("its files have other hashes than it says")
        if strange := [name for name in files if not store.OF_A_RUN.fullmatch(name)]:
            raise ValueError(f"it holds {strange[0]!r}")
        record = checkpoints.read_record(io.BytesIO(files[store.CHECKPOINT]))
        recipe, samples = record["recipe"], record["samples"]
        if recipe == RECIPE:
            _check(key, record, files)
    except FileNotFoundError as error:
        raise store.StoreError(f"there is no file {file}") from error
    except store.StoreError as error:
        raise store.StoreError(f"{file} does not hold together: {error.__cause__}") from error
    except store.UNREADABLE as error:
        raise store.StoreError(
            f"{file} is not a whole run that `runs --export` wrote ({error}): export it again"
        ) from error
    if recipe != RECIPE:
        raise store.StoreError(
            f"{file} holds a run of recipe {recipe}, but this kit has recipe {RECIPE}, by which "
            "the same settings give other numbers: take it with the kit that made it"
        )
    return key, samples, files


def _check(key: str, record: dict, files: dict[str, bytes]) -> None:
    """Raise unless records, models and checkpoint are of one run, the one that it is said to be."""
    experiment = records.check(record, whole=False)
    if experiment.key != key:
        raise ValueError("its run is another than it says")
    with tempfile.TemporaryDirectory() as scratch, paths.results_in(scratch):
        store.unpack(key, files)
        model = records.skeleton(experiment)
        store.restore(key, model)
        records.check_model(model, experiment, record["samples"])
        for name in files:
            stem, _, ending = name.rpartition(".")
            if ending != "json":
                continue
            n = int(stem.removeprefix("run-"))
            finished = store.read_record(key, n) or {}
            if records.check(finished, whole=True).key != key or finished["samples"] < n:
                raise ValueError(f"{name} is of another run")
            if store.has_model(key, n):
                loaded = store.load_model(key, n)
                records.check_model(loaded, experiment, finished["samples"])
                if [w.shape for w in loaded.weights] != [w.shape for w in model.weights]:
                    raise ValueError(f"the weights in model-{n}.keras are of other shapes")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
