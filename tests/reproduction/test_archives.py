"""A run as a file: the same run elsewhere, and nothing that is not whole gets into a store."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest

from vae_keras.reproduction import archives, experiments, runs, store
from vae_keras.reproduction.command_line import main
from vae_keras.reproduction.experiments import Experiment


@pytest.fixture
def exported(small, faces, tmp_path, monkeypatch):
    """The file of a run, the run, and a store without it."""
    run = runs.run(small, faces)
    _ = run.model
    assert main(["runs", "--export", small.key, "--to", str(tmp_path)]) == 0
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path / "elsewhere"))
    return tmp_path / f"{small.key}.zip", run


def test_it_is_the_same_run_elsewhere_and_goes_on_there(
    exported, small, faces, monkeypatch, capsys
):
    file, run = exported
    assert main(["runs", "--import", str(file)]) == 0
    assert f"imported {small.key}: 4,000 samples" in capsys.readouterr().out
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
    assert capsys.readouterr().err.count("is not a whole run") == 2


def test_a_run_of_another_recipe_is_refused(exported, monkeypatch, capsys):
    file, _ = exported
    monkeypatch.setattr(archives, "RECIPE", experiments.RECIPE + 1)
    assert main(["runs", "--import", str(file)]) == 1
    assert f"holds a run of recipe {experiments.RECIPE}, but" in capsys.readouterr().err


def test_a_run_of_another_recipe_is_so_when_a_later_kit_exports_it(
    exported, small, monkeypatch, tmp_path, capsys
):
    file, _ = exported
    archives.take(file)
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
    archives.take(file)
    with store.claim(small.key):
        assert main(["runs", "--export", small.key]) == 1
        assert "is being trained" in capsys.readouterr().err
    assert main(["runs", "--export", "mine"]) == 1
    assert "there is no run 'mine'" in capsys.readouterr().err
