"""The store: killed at any moment a run goes on to the same numbers; bad files are said."""

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from vae_keras import datasets
from vae_keras.models.trainer import Trainer
from vae_keras.reproduction import command_line, experiments, paths, store, training, version
from vae_keras.reproduction.experiments import Experiment


@pytest.fixture(scope="module")
def faces():
    return datasets.load("synthetic_faces")


@pytest.fixture(autouse=True)
def _no_xla(monkeypatch):
    """Compiling takes most of the time here."""
    compile = functools.partialmethod(Trainer.compile, jit_compile=False)
    monkeypatch.setattr(Trainer, "compile", compile)


@pytest.fixture
def small():
    return Experiment("synthetic_faces", 2, samples=4000, hidden=5, step_size=0.02)


KILLED = """
import os, random, signal, sys, threading
from vae_keras import callbacks, datasets
from vae_keras.reproduction import experiments, paths, training
training.CHECKPOINT_EVERY_S = 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def kill_at_random(seed):
    moment = random.Random(seed)

    class Die(callbacks.StopAtSamples):
        def on_train_begin(self, logs=None):
            if seed % 2:
                threading.Timer(moment.uniform(0, 1), die).start()
                return
            write, after = paths.Path.write_bytes, moment.randrange(1, 9)

            def half(path, content):  # and every other time while a checkpoint is written
                nonlocal after
                after -= 1
                write(path, content if after else content[: len(content) // 2])
                if not after:
                    die()

            paths.Path.write_bytes = half

    training.StopAtSamples = Die

def train(csv):
    experiment = experiments.Experiment(
        "synthetic_faces", 2, 200_000, "wake_sleep", hidden=5
    )
    run = experiments.run(experiment, datasets.load("synthetic_faces"))
    experiments.table([run]).to_csv(csv, index=False)

for seed in map(int, sys.argv[2:]):
    child = os.fork()  # before TensorFlow starts its threads: importing it takes the most time
    if not child:
        if seed >= 0:
            kill_at_random(seed)
        train(sys.argv[1])
        os._exit(0)
    print(seed, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.long
def test_a_run_killed_at_random_moments_ends_with_the_same_csv(tmp_path):
    def start(results, *seeds):
        """Train in one process after the other; seed -1 is not killed. Returns the statuses."""
        command = [sys.executable, "-c", KILLED, tmp_path / f"{results}.csv", *map(str, seeds)]
        environment = os.environ | {"VAE_KERAS_RESULTS": str(tmp_path / results)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [int(line.split()[1]) for line in done.stdout.splitlines()]

    assert start("undisturbed", -1) == [0]
    statuses = start("killed", *range(12))
    assert set(statuses) <= {-signal.SIGKILL, 0}
    assert statuses.count(-signal.SIGKILL) >= 10
    with np.load(next((tmp_path / "killed").rglob("checkpoint.npz"))) as saved:
        rows = json.loads(str(saved["record"]))["curve"]
    assert rows  # the twelve had come some way, the one from where the other ended
    assert start("killed", -1) == [0]
    undisturbed, killed = (tmp_path / f"{name}.csv" for name in ("undisturbed", "killed"))
    assert killed.read_bytes() == undisturbed.read_bytes()
    assert not list((tmp_path / "killed").rglob("*.part*"))


def checkpointed(small, faces, monkeypatch):
    """Stop `small` half-way with a checkpoint behind; returns its file."""
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 0)
    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            experiments.run(small, faces)
    return store.runs_folder() / small.key / store.CHECKPOINT


@pytest.mark.parametrize("content", [b"half", b"", b"PK\x03\x04truncated"])
def test_a_damaged_checkpoint_is_said_and_the_run_can_be_dropped(
    small, faces, monkeypatch, content
):
    file = checkpointed(small, faces, monkeypatch)
    file.write_bytes(content)
    with pytest.raises(store.StoreError, match=f"checkpoint.npz cannot be read .*drop {small.key}"):
        experiments.run(small, faces)
    assert store.records()[small.key]["state"] == "unreadable"
    store.drop(small.key)
    assert experiments.run(small, faces).samples == 4000


def test_a_truncated_checkpoint_and_one_of_another_model(small, faces, monkeypatch):
    file = checkpointed(small, faces, monkeypatch)
    whole = file.read_bytes()
    file.with_name("whole.npz").write_bytes(whole)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(store.StoreError, match="cannot be read"):
        experiments.run(small, faces)
    other = checkpointed(dataclasses.replace(small, hidden=6), faces, monkeypatch)
    file.write_bytes(other.read_bytes())
    with pytest.raises(store.StoreError, match=f"other settings.*drop {small.key}"):
        experiments.run(small, faces)
    with np.load(other) as theirs, np.load(file.with_name("whole.npz")) as ours:
        mixed = dict(theirs) | {"record": ours["record"]}
    np.savez(file, **mixed)
    with pytest.raises(store.StoreError, match="cannot be read"):
        experiments.run(small, faces)
    file.write_bytes(whole)
    assert experiments.run(small, faces).samples == 4000


@pytest.mark.parametrize("content", ["", "[]", "{", '{"curve": []}'])
def test_a_foreign_record_is_said(small, faces, content):
    experiments.run(small, faces)
    (store.runs_folder() / small.key / store.RECORD).write_text(content)
    with pytest.raises(store.StoreError, match=f"--drop {small.key}"):
        experiments.run(small, faces)


def test_a_damaged_model_is_said(small, faces):
    run = experiments.run(small, faces)
    (store.runs_folder() / small.key / store.MODEL).write_bytes(b"half")
    with pytest.raises(store.StoreError, match=f"model.keras cannot be read .*{small.key}"):
        _ = run.model


def test_a_full_disk_is_said_and_loses_nothing(small, faces, monkeypatch):
    file = checkpointed(small, faces, monkeypatch)
    before = file.read_bytes()
    with monkeypatch.context() as patch:

        def full(*_):
            raise OSError(28, "No space left on device")

        patch.setattr(paths.Path, "write_bytes", full)
        with pytest.raises(store.StoreError, match=r"No space left on device.*make room"):
            experiments.run(small, faces)
    assert file.read_bytes() == before
    assert experiments.run(small, faces).samples == 4000


def test_foreign_files_and_older_runs_disturb_nothing(small, faces, capsys):
    folder = store.runs_folder() / "aevb-mnist-2d-1000-0123456789ab"
    folder.mkdir(parents=True)
    (folder / store.RECORD).write_text(json.dumps({"recipe": 1, "curve": []}))
    (store.runs_folder() / "notes.txt").write_text("mine")
    (store.runs_folder() / "not a run").mkdir()
    experiments.run(small, faces)
    assert command_line.main(["runs"]) == 0
    out = capsys.readouterr().out
    assert "finished, by another version of the kit" in out
    assert "unreadable" in out
    assert "4,000 samples, train" in out


def test_runs_are_listed_and_dropped(small, faces, monkeypatch, capsys):
    experiments.run(small, faces)
    other = dataclasses.replace(small, seed=1)
    checkpointed(other, faces, monkeypatch)
    assert {key: run["state"] for key, run in store.records().items()} == {
        small.key: "finished",
        other.key: "stopped",
    }
    assert command_line.main(["runs", "--drop", "nothing"]) == 1
    assert "there is no run 'nothing'" in capsys.readouterr().err
    assert command_line.main(["runs", "--drop", other.key]) == 0
    assert list(store.records()) == [small.key]
    assert command_line.main(["runs", "--drop", "all"]) == 0
    assert store.records() == {}


def test_a_run_knows_its_data_and_other_data_of_the_same_name_are_not_mixed_up(
    small, faces, monkeypatch
):
    """Neither a finished run nor a checkpoint; said before any run of the list is trained."""
    turned = dataclasses.replace(faces, x_test=255 - faces.x_test)
    theirs, ours = faces.sha256[:12], turned.sha256[:12]
    assert theirs != ours
    said = f"{small.key} holds a run on other data .*{theirs}…, these {ours}….*drop {small.key}"
    checkpointed(small, faces, monkeypatch)
    new = dataclasses.replace(small, seed=9)
    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "build", lambda *_: pytest.fail("trained"))
        with pytest.raises(store.StoreError, match=said):
            experiments.run_all([(new, turned), (small, turned)])
    run = experiments.run(small, faces)
    assert run.record["data_sha256"] == faces.sha256
    with pytest.raises(store.StoreError, match=said):
        experiments.run_all([(new, turned), (small, turned)])
    store.drop(small.key)
    assert experiments.run(small, turned).record["data_sha256"] == turned.sha256


def test_what_another_version_made_is_taken_and_said(small, faces, monkeypatch, capsys):
    """Also of a run that another version goes on with, and of records that do not say."""

    def said():
        capsys.readouterr()
        experiments.run(small, faces)
        (told,) = [x for x in capsys.readouterr().out.splitlines() if "the store" in x] or [""]
        assert command_line.main(["runs"]) == 0
        listed = capsys.readouterr().out.splitlines()[1]
        assert listed.startswith(small.key)
        return told, listed

    here = version.this()
    old = {"version": "0.0.9", "commit": "0123456789abcdef-dirty", "sources": "feed"}
    with monkeypatch.context() as patch:
        patch.setattr(version, "this", lambda: old)
        checkpointed(small, faces, patch)
    told, listed = said()  # it goes on from there
    words = "version 0.0.9 (commit 01234567-dirty) and then version "
    assert f"from the store, made by {words}" in told
    assert told.endswith(": aevb synthetic_faces N_z=2")
    assert f"finished, by {words}" in listed
    file = store.runs_folder() / small.key / store.RECORD
    record = json.loads(file.read_text())
    assert record["made_by"] == [old, here]
    for made_by, words in (
        ([here], ""),
        ([old | {"commit": None}], "version 0.0.9 (sources feed)"),
        (None, "an unknown version on unknown data"),
    ):
        file.write_text(json.dumps(record | {"made_by": made_by}))
        if made_by is None:  # as written before records had these fields
            names = ("data_sha256", "made_by")
            file.write_text(json.dumps({k: v for k, v in record.items() if k not in names}))
        told, listed = said()
        assert told == (f"from the store, made by {words}: {small.title}" if words else "")
        assert (f"finished, by {words}:" if words else "finished: ") in listed


def test_a_run_that_no_disk_keeps_is_told_as_it_is(small, faces, monkeypatch, capsys):
    """On a read-only disk a stopped run is stopped, and that it cannot be dropped is said."""
    checkpointed(small, faces, monkeypatch)

    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(store.filelock.FileLock, "acquire", read_only)
        assert store.records()[small.key]["state"] == "stopped"
        assert command_line.main(["runs"]) == 0
        assert f"{small.key:<60} stopped: " in capsys.readouterr().out
        assert command_line.main(["runs", "--drop", small.key]) == 1
        assert "cannot be written (Read-only file system)" in capsys.readouterr().err
    monkeypatch.setattr(store.shutil, "rmtree", read_only)  # or the run's folder alone
    with pytest.raises(store.StoreError, match=r"cannot be written \(Read-only file system"):
        store.drop(small.key)


HOLDER = """
import sys, filelock
with filelock.FileLock(sys.argv[1]):
    print(flush=True)
    input()
"""


def test_two_processes_never_train_the_same_run(small, faces, capsys):
    """While another holds the claim, this one waits; then it takes what was stored."""
    finished = experiments.run(small, faces)
    folder = store.runs_folder() / small.key
    hidden = folder.rename(folder.with_name("elsewhere"))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER,
            str(store.runs_folder() / f".{small.key}.lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    try:
        with pytest.raises(store.StoreError, match="no run"):
            store.drop(small.key)

        def give_back():
            time.sleep(2)
            hidden.rename(folder)
            holder.communicate(b"\n")

        threading.Thread(target=give_back).start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Experiment, "build", lambda *_: pytest.fail("trained twice"))
            again = experiments.run(small, faces)
    finally:
        holder.kill()
    assert again.record == finished.record
    assert "another process trains" in capsys.readouterr().out
