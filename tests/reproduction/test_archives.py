"""A run as a file: the same run elsewhere, and nothing that is not whole gets into a store."""

import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest

from vae_keras.reproduction import archives, experiments, runs, store
from vae_keras.reproduction.command_line import main
from vae_keras.reproduction.experiments import Experiment


@pytest.fixture
def exported(run, small, tmp_path, monkeypatch):
    """The file of a run, the run, and a store without it."""
    _ = run.model
    assert main(["runs", "--export", small.key, "--to", str(tmp_path)]) == 0
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path / "elsewhere"))
    return tmp_path / f"{small.key}.zip", run


def test_it_is_the_same_run_elsewhere_and_goes_on_there(
    exported, small, faces, monkeypatch, capsys
):
    file, run = exported
    assert main(["runs", "--import", str(file)]) == 0
    said = capsys.readouterr().out
    assert f"imported {small.key}: 4,000 samples, made by this version" in said
    assert "what the numbers are worth no file can tell" in said
    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "build", lambda *_: pytest.fail("trained again"))
        elsewhere = runs.run(small, faces)
    assert elsewhere.record == run.record
    for a, b in zip(elsewhere.model.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    longer = runs.run(dataclasses.replace(small, samples=6000), faces)
    store.drop(small.key)
    at_once = runs.run(dataclasses.replace(small, samples=6000), faces)
    assert longer.record["curve"][-1] == at_once.record["curve"][-1]


def test_what_the_store_has_as_far_is_left_alone(exported, small, faces, capsys):
    file, _ = exported
    runs.run(dataclasses.replace(small, samples=2000), faces)
    assert main(["runs", "--import", str(file)]) == 0  # which is further
    assert main(["runs", "--import", str(file)]) == 1
    assert "as far already: 4,000 samples" in capsys.readouterr().err


def rewritten(file, change):
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def another_byte(files):
    files["run-4000.json"] += b" "


def a_file_less(files):
    del files["model-4000.keras"]


def no_manifest(files):
    del files[archives.MANIFEST]


def a_way_out(files):
    """A name that would be written outside the store, hash and all."""
    manifest = json.loads(files[archives.MANIFEST])
    manifest["sha256"]["../../owned.json"] = archives._hash(b"{}")
    files |= {"../../owned.json": b"{}", archives.MANIFEST: json.dumps(manifest).encode()}


def another_name(files):
    manifest = json.loads(files[archives.MANIFEST]) | {"run": "aevb-mnist-2d-000000000000"}
    files[archives.MANIFEST] = json.dumps(manifest).encode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (another_byte, "its files have other hashes"),
        (a_file_less, "its files have other hashes"),
        (no_manifest, "'manifest.json'"),
        (a_way_out, "it holds '../../owned.json'"),
        (another_name, "its run is another than it says"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_and_the_store_is_as_it_was(
    exported, change, said, capsys, tmp_path
):
    file, _ = exported
    rewritten(file, change)
    assert main(["runs", "--import", str(file)]) == 1
    assert said in capsys.readouterr().err
    assert store.records() == {}
    assert not (tmp_path / "owned.json").exists()


def test_half_a_file_and_none(exported, capsys):
    file, _ = exported
    file.write_bytes(file.read_bytes()[:-500])
    assert main(["runs", "--import", str(file), str(file) + "x"]) == 1
    said = capsys.readouterr().err
    assert "is not a whole run" in said
    assert f"there is no file {file}x" in said


def changed(files, name, change):
    """One of its files, and the manifest so that it is not seen by that."""
    files[name] = change(files[name])
    manifest = json.loads(files[archives.MANIFEST])
    manifest["sha256"][name] = archives._hash(files[name])
    files[archives.MANIFEST] = json.dumps(manifest).encode()


def _json(change):
    def changed(content):
        record = json.loads(content)
        change(record)
        return json.dumps(record).encode()

    return changed


def _npz(change):
    def changed(content):
        with np.load(io.BytesIO(content)) as saved:
            arrays = dict(saved)
        record = json.loads(str(arrays["record"]))
        change(record, arrays)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays | {"record": json.dumps(record)})
        return buffer.getvalue()

    return changed


FORGED = {
    "seed": ("run-4000.json", _json(lambda r: r["experiment"].update(seed=3)), "of another run"),
    "claims": ("run-4000.json", _json(lambda r: r.update(samples=10**8)), "it claims 100000000"),
    "no end": ("run-4000.json", _json(lambda r: r.update(curve=r["curve"][:2])), "its curve"),
    "samples": ("checkpoint.npz", _npz(lambda r, _: r.update(samples=3000)), "4000 samples"),
    "no arrays": ("checkpoint.npz", _npz(lambda _, a: a.pop("arr_0")), "does not hold together"),
    "shapes": (
        "checkpoint.npz", _npz(lambda _, a: a.update(arr_1=np.zeros(3))), "does not hold together",
    ),
    "model": ("model-4000.keras", lambda _: b"half", "it is not whole"),
}  # fmt: skip


@pytest.mark.parametrize("forged", FORGED)
def test_a_run_whose_files_do_not_belong_together_is_refused(exported, forged, capsys):
    name, change, message = FORGED[forged]
    file, _ = exported
    rewritten(file, lambda files: changed(files, name, change))
    assert main(["runs", "--import", str(file)]) == 1
    assert message in capsys.readouterr().err
    assert store.records() == {}


def test_a_file_that_would_unpack_to_more_than_any_run_has_is_not_unpacked(
    tmp_path, monkeypatch, capsys
):
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run-1.json", bytes(archives.MOST_BYTES + 1))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("read"))
    assert main(["runs", "--import", str(file)]) == 1
    assert "it would take more than 256 MiB" in capsys.readouterr().err


def test_strangers_in_the_folder_of_a_run_and_folders_that_are_none(run, small, tmp_path):
    folder = store.runs_folder() / small.key
    (folder / "notes.txt").write_text("mine")
    (folder / "more").mkdir()
    (store.runs_folder() / "no run").mkdir()
    file = archives.export(small.key, tmp_path)
    with zipfile.ZipFile(file) as archive:
        assert sorted(archive.namelist()) == [
            "checkpoint.npz", archives.MANIFEST, "model-4000.keras", "run-4000.json",
        ]  # fmt: skip
    with pytest.raises(store.StoreError, match="there is no run 'no run'"):
        archives.export("no run", tmp_path)


def test_a_run_of_another_recipe_is_refused(exported, monkeypatch, capsys):
    file, _ = exported
    monkeypatch.setattr(archives, "RECIPE", experiments.RECIPE + 1)
    assert main(["runs", "--import", str(file)]) == 1
    assert f"holds a run of recipe {experiments.RECIPE}, but" in capsys.readouterr().err


def test_a_run_of_another_recipe_is_so_when_a_later_kit_exports_it(
    exported, small, monkeypatch, tmp_path, capsys
):
    file, _ = exported
    archives.import_run(file)
    monkeypatch.setattr(archives, "RECIPE", experiments.RECIPE + 1)
    again = archives.export(small.key, tmp_path / "again")
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path / "third"))
    assert main(["runs", "--import", str(again)]) == 1
    assert f"holds a run of recipe {experiments.RECIPE}, but" in capsys.readouterr().err


def test_what_is_trained_now_is_neither_exported_nor_replaced(exported, small, capsys):
    file, _ = exported
    with store.claim(small.key):
        assert main(["runs", "--import", str(file)]) == 1
        assert "is being trained" in capsys.readouterr().err
    archives.import_run(file)
    with store.claim(small.key):
        assert main(["runs", "--export", small.key]) == 1
        assert "is being trained" in capsys.readouterr().err
    assert main(["runs", "--export", "mine"]) == 1
    assert "there is no run 'mine'" in capsys.readouterr().err
