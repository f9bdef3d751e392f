"""The store: bad files are said, nothing is lost, and nobody trains what another does."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest
from oracles.saboteur import Saved

from vae_keras import _files
from vae_keras.models.trainer import Trainer
from vae_keras.reproduction import paths, runs, store
from vae_keras.reproduction.experiments import Experiment


def test_a_damaged_checkpoint_is_said_and_the_run_can_be_dropped(checkpoint, small, faces):
    said = f"checkpoint.npz cannot be used .*drop {small.key}"
    for content in (b"half", b"", b"PK\x03\x04truncated"):
        checkpoint.write_bytes(content)
        with pytest.raises(store.StoreError, match=said):
            runs.run(small, faces)
    assert store.records()[small.key]["state"] == "unreadable"
    store.drop(small.key)
    assert runs.run(small, faces).samples == 4000


def test_a_truncated_checkpoint_and_one_of_another_model(checkpoint, small, faces, checkpointed):
    whole = checkpoint.read_bytes()
    checkpoint.with_name("whole.npz").write_bytes(whole)
    checkpoint.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(store.StoreError, match="cannot be used"):
        runs.run(small, faces)
    other = checkpointed(dataclasses.replace(small, hidden=6), faces)
    checkpoint.write_bytes(other.read_bytes())
    with pytest.raises(store.StoreError, match=f"it has other settings.*drop {small.key}"):
        runs.run(small, faces)
    with np.load(other) as theirs, np.load(checkpoint.with_name("whole.npz")) as ours:
        mixed = dict(theirs) | {"record": ours["record"]}
    np.savez(checkpoint, **mixed)
    with pytest.raises(store.StoreError, match="cannot be used"):
        runs.run(small, faces)
    checkpoint.write_bytes(whole)
    assert runs.run(small, faces).samples == 4000


@pytest.mark.parametrize("name", ["run-4000.json", "model-4000.keras"])
def test_what_is_not_whole_is_made_again_from_the_checkpoint(run, small, faces, name, capsys):
    file = store.runs_folder() / small.key / name
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Trainer, "fit", lambda *_, **__: pytest.fail("fit"))
            again = runs.run(small, faces)
        assert f"damaged, so made again: {name} of {small.key}" in capsys.readouterr().out
        assert again.record["curve"] == run.record["curve"]
        np.testing.assert_equal(again.model.get_weights(), run.model.get_weights())


def test_a_model_that_was_damaged_since_is_said(run, small):
    (store.runs_folder() / small.key / "model-4000.keras").write_bytes(b"half")
    with pytest.raises(
        store.StoreError, match=r"model-4000.keras .* \(it is incomplete or damaged"
    ):
        _ = run.model


def test_a_record_that_does_not_hold_together_is_refused(run, small, faces):
    file = store.record_file(small.key, 4000)
    whole = json.loads(file.read_text())
    file.write_text(json.dumps(whole | {"recipe": 8}))
    with pytest.raises(store.StoreError, match=r"run-4000.json cannot be used .*its recipe is 8,"):
        runs.run(small, faces)
    settings = whole["experiment"] | {"step_size": 0.5}
    file.write_text(json.dumps(whole | {"experiment": settings}))
    with pytest.raises(store.StoreError, match=r"run-4000.json .* \(it has other settings\)"):
        runs.run(small, faces)


def test_the_model_of_another_run_is_refused(run, small, faces):
    longer = runs.run(dataclasses.replace(small, samples=4100), faces)
    theirs = store.model_file(small.key, longer.samples)
    store.model_file(small.key, 4000).write_bytes(theirs.read_bytes())
    said = "model-4000.keras cannot be used .*it has learned from 4100 samples, not from 4000"
    with pytest.raises(store.StoreError, match=said):
        _ = run.model


@pytest.mark.long
def test_a_full_disk_is_said_and_loses_nothing(checkpoint, small, faces, monkeypatch):
    before = checkpoint.read_bytes()
    with monkeypatch.context() as patch:

        def full(*_):
            raise OSError(28, "No space left on device")

        patch.setattr(paths.Path, "write_bytes", full)
        with pytest.raises(store.StoreError, match=r"No space left on device.*make room"):
            runs.run(small, faces)
    assert checkpoint.read_bytes() == before
    assert runs.run(small, faces).samples == 4000


def test_a_run_knows_its_data_and_other_data_of_the_same_name_are_not_mixed_up(
    checkpoint, small, faces, monkeypatch
):
    """Neither a finished run nor a checkpoint; said before any run of the list is trained."""
    turned = dataclasses.replace(faces, x_test=255 - faces.x_test)
    theirs, ours = faces.sha256[:12], turned.sha256[:12]
    assert theirs != ours
    said = f"{small.key} holds a run on other data .*{theirs}…, not {ours}….*drop {small.key}"
    new = dataclasses.replace(small, seed=9)
    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "build", lambda *_: pytest.fail("trained"))
        with pytest.raises(store.StoreError, match=said):
            runs.run_all([(new, turned), (small, turned)])
    run = runs.run(small, faces)
    assert run.record["data_sha256"] == faces.sha256
    with pytest.raises(store.StoreError, match=said):
        runs.run_all([(new, turned), (small, turned)])
    store.drop(small.key)
    assert runs.run(small, turned).record["data_sha256"] == turned.sha256


def test_a_finished_run_leaves_its_checkpoint_its_model_and_its_record_alone(
    small, faces, checkpointed
):
    """Not what a process that was killed while writing left behind."""
    assert store.read_record(small.key, 4000) is None
    assert store.read_progress(small.key) is None
    file = checkpointed(small, faces)
    assert store.read_progress(small.key)["curve"]
    assert store.read_progress(small.key)["samples"] == 2000
    assert store.read_record(small.key, 4000) is None
    assert not store.is_finished(small.key, 4000)
    file.with_name(".checkpoint.npz.123.part").write_bytes(b"half")
    run = runs.run(small, faces)
    names = {store.CHECKPOINT, "model-4000.keras", "run-4000.json"}
    assert {path.name for path in file.parent.iterdir()} == names
    assert store.is_finished(small.key, 4000)
    assert store.read_record(small.key, 4000) == run.record
    assert store.read_progress(small.key)["samples"] == 4000  # from where it may go on
    assert store.read_record(small.key, 4001) is None


def test_a_run_that_is_packed_is_the_same_run_elsewhere(run, small, faces, monkeypatch, tmp_path):
    """Without what is hidden: files that a process was killed while writing."""
    assert store.pack("another") == {}
    (store.runs_folder() / small.key / ".checkpoint.npz.123.part").write_bytes(b"half")
    files = store.pack(small.key)
    assert set(files) == {store.CHECKPOINT, "model-4000.keras", "run-4000.json"}
    weights = run.model.get_weights()
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path))
    assert not store.is_finished(small.key, 4000)
    store.unpack(small.key, files)
    assert store.pack(small.key) == files
    monkeypatch.setattr(Experiment, "build", lambda *_: pytest.fail("trained again"))
    elsewhere = runs.run(small, faces)
    assert elsewhere.record == run.record
    np.testing.assert_equal(elsewhere.model.get_weights(), weights)


@contextlib.contextmanager
def killed_at_write(number):
    """The process ends in place of the `number`-th file that it would write whole."""
    replace, written = _files.replace, []

    def write(path, content):
        written.append(path)
        if len(written) == number:
            raise KeyboardInterrupt
        replace(path, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_files, "replace", write)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_a_run_is_finished_once_its_whole_model_and_then_its_record_are_there():
    with pytest.raises(KeyboardInterrupt):
        store.finish("key", 100, Saved(killed=True), {})
    assert not store.has_model("key", 100)
    with killed_at_write(1):
        store.finish("key", 100, Saved(), {})
    assert store.has_model("key", 100)
    assert not store.is_finished("key", 100)
    store.finish("key", 100, Saved(), {"samples": 100})
    with pytest.raises(KeyboardInterrupt):
        store.finish("key", 100, Saved(killed=True), {})
    assert store._is_whole(store.model_file("key", 100))
    assert store.read_record("key", 100) == {"samples": 100}


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_run_that_arrives_is_finished_once_all_of_it_is_there(number):
    names = ("run-100.json", "run-50.json", "model-100.keras", store.CHECKPOINT)
    files = dict.fromkeys(names, b"{}")
    with killed_at_write(number):
        store.unpack("key", files)
    there = {file.name for file in (store.runs_folder() / "key").glob("*")}
    assert len(there) == number - 1
    assert not there & {"run-100.json", "run-50.json"} or {*names[2:]} < there
    store.unpack("key", files)
    assert store.pack("key") == files


@pytest.mark.usefixtures("checkpoint")
def test_a_run_that_is_trained_now_is_neither_dropped_nor_called_stopped(small):
    with store.claim(small.key) as mine:
        assert mine
        with store.claim(small.key) as again:
            assert not again
        assert store.is_claimed(small.key)
        assert store.records()[small.key]["state"] == "training"
        with pytest.raises(store.StoreError, match="is being trained by another process: stop th"):
            store.drop(small.key)
    assert store.records()[small.key]["state"] == "stopped"
    store.drop(small.key)
    assert store.records() == {}


@pytest.mark.parametrize("key", ["", ".", "..", "../mine", "deep/er"])
def test_nothing_but_a_run_is_dropped(key):
    folder = store.runs_folder()
    for other in (folder / "deep" / "er", folder.parent / "mine"):
        other.mkdir(parents=True)
    with pytest.raises(store.StoreError, match="there is no run"):
        store.drop(key)
    assert (folder / "deep" / "er").is_dir()
    assert (folder.parent / "mine").is_dir()
