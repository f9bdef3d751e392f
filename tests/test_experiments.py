"""Presets, experiments, their store, and what a figure records."""

import dataclasses
import json

import numpy as np
import pytest

from vae_keras import datasets, experiments, figures, paths, presets, provenance
from vae_keras.experiments import Experiment


@pytest.fixture(scope="module")
def faces():
    return datasets.load("synthetic_faces")


@pytest.fixture
def small():
    return Experiment("synthetic_faces", 2, samples=300)


def test_presets():
    assert presets.resolve("smoke") == presets.Settings("smoke", 2000, allow_embedded=True)
    for name in ("standard", "paper"):
        assert not presets.resolve(name).allow_embedded
    assert [presets.resolve(n).samples for n in presets.NAMES] == [2000, 10**6, 10**7, 10**8]
    assert presets.resolve("quick", samples=5).samples == 5
    with pytest.raises(ValueError, match="unknown preset 'fast': one of smoke, quick"):
        presets.resolve("fast")
    with pytest.raises(ValueError, match=r"samples is 1\.5"):
        presets.resolve("quick", samples=1.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "cifar"}, "unknown dataset 'cifar': one of mnist"),
        ({"latent_dim": 0}, "latent_dim is 0, but must be an integer, at least 1"),
        ({"samples": 1e6}, "samples is 1000000.0"),
        ({"n_samples": 0}, "n_samples is 0"),
        ({"step_size": 0.0}, "step_size is 0.0, but must be above 0"),
    ],
)
def test_an_experiment_refuses_bad_settings(small, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(small, **change)


def test_every_setting_is_part_of_the_key(small):
    changes = {
        "dataset": "mnist", "latent_dim": 3, "samples": 400, "seed": 1, "step_size": 0.01,
        "batch_size": 50, "n_samples": 2, "algorithm": "wake_sleep", "hidden": 9, "n_train": 100,
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(Experiment)}
    keys = {dataclasses.replace(small, **{name: value}).key for name, value in changes.items()}
    assert len(keys | {small.key}) == len(changes) + 1


def test_a_finished_run_is_taken_from_the_store(small, faces, monkeypatch):
    first = experiments.run(small, faces)
    assert first.model.samples == 300
    monkeypatch.setattr(Experiment, "build", lambda *_: pytest.fail("trained again"))
    second = experiments.run(small, faces)
    assert first.record == second.record
    for a, b in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="'synthetic_faces', the data on 'mnist_5k'"):
        experiments.run(small, dataclasses.replace(faces, name="mnist_5k"))


def test_a_run_is_repeated_bit_for_bit(small, faces, monkeypatch, tmp_path):
    first = experiments.run(small, faces)
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path))
    second = experiments.run(small, faces)
    assert first.record["bounds"] == second.record["bounds"]
    for a, b in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_damaged_run_is_said(small, faces):
    experiments.run(small, faces)
    (paths.results() / "runs" / small.key / "model.keras").write_bytes(b"half")
    with pytest.raises(RuntimeError, match=f"{small.key} cannot be read .*delete that folder"):
        experiments.run(small, faces)


def test_a_stopped_run_leaves_nothing_half_done(small, faces, monkeypatch):
    monkeypatch.setattr("vae_keras.models.vae.VAE.save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        experiments.run(small, faces)
    assert list((paths.results() / "runs").iterdir()) == []


def test_the_recipe_is_the_papers(faces):
    model = Experiment("synthetic_faces", 5, 1000).build(faces)
    assert model.weight_decay == 1 / 1600
    assert model.n_samples == 1
    assert model.estimator == "B"
    assert type(model.optimizer).__name__ == "Adagrad"
    assert model.encoder.get_layer("hidden").units == 200


def test_the_bound_in_the_table_is_that_of_the_model(small, faces):
    run = experiments.run(dataclasses.replace(small, samples=20_000), faces)
    table = experiments.bounds_table([run])
    assert list(table.columns) == [
        "dataset", "latent_dim", "algorithm", "split", "samples", "lower_bound", "seed",
    ]  # fmt: skip
    for split, x in (("train", faces.x_train), ("test", faces.x_test)):
        row = table[table.split == split].iloc[0]
        assert row.lower_bound == pytest.approx(run.model.elbo(x, n_samples=20).mean(), abs=3)


def test_the_latent_grid_goes_through_the_inverse_cdf():
    from scipy.stats import norm

    grid = figures.latent_grid(4)
    assert grid.shape == (16, 2)
    levels = np.array([0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(norm.cdf(grid[:4, 0]), levels, atol=1e-6)  # left to right
    np.testing.assert_allclose(norm.cdf(grid[::4, 1]), levels[::-1], atol=1e-6)  # top to bottom


def test_tiles_lie_row_by_row():
    images = np.arange(6)[:, None] * np.ones((1, 4))
    picture = figures.tile(images, (2, 2), columns=3)
    np.testing.assert_array_equal(picture[::2, ::2], [[0, 1, 2], [3, 4, 5]])


def test_a_manifold_needs_two_dimensions(faces):
    model = Experiment("synthetic_faces", 3, 100).build(faces)
    with pytest.raises(ValueError, match=r"2-D latent space, but this one's is \(3,\)"):
        figures.manifold_means(model, 5)


def test_a_figure_of_embedded_data_says_so(small, faces):
    run = experiments.run(small, faces)
    codes = figures.latent_codes(run.model, dataclasses.replace(faces, y_test=np.arange(400) % 10))
    figure = figures.manifold(run, run, 3, 3, codes)
    titles = [axis.get_title() for axis in figure.axes]
    assert all("synthetic faces, not Frey Face" in title for title in titles)
    record = provenance.record("fig_manifold", {"preset": "smoke"}, [run], [])
    assert record["data"]["synthetic_faces"]["embedded"]
    assert record["runs"][0]["seed"] == 0
    json.dumps(record)


def test_embedded_data_are_not_fresh_once_the_real_data_are_found(tmp_path, monkeypatch):
    found = {
        "sources": provenance.source_hash("fig_samples"),
        "parameters": {"preset": "quick"},
        "files": [],
        "data": {"mnist_5k": {}},
    }
    (tmp_path / "fig_samples.json").write_text(json.dumps(found))
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    assert provenance.is_fresh("fig_samples", {"preset": "quick"}, tmp_path)
    assert not provenance.is_fresh("fig_samples", {"preset": "smoke"}, tmp_path)
    (tmp_path / "mnist.npz").write_bytes(b"")
    monkeypatch.setenv("VAE_KERAS_DATA", str(tmp_path))
    assert not provenance.is_fresh("fig_samples", {"preset": "quick"}, tmp_path)
