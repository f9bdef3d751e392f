"""Presets, experiments, their store, and what a figure records."""

import dataclasses
import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from vae_keras import datasets, likelihood
from vae_keras.models.vae import VAE
from vae_keras.reproduction import (
    experiments,
    figures,
    measures,
    paths,
    presets,
    provenance,
    step_size,
    store,
    training,
    version,
)
from vae_keras.reproduction.experiments import Experiment


@pytest.fixture(scope="module")
def faces():
    return datasets.load("synthetic_faces")


@pytest.fixture
def small():
    return Experiment("synthetic_faces", 2, samples=300, step_size=0.02)


def test_presets():
    assert presets.resolve("smoke") == presets.Settings("smoke", 2000, True, [3], [2], [1000])
    for name in ("standard", "paper"):
        assert not presets.resolve(name).allow_embedded
    assert [presets.resolve(n).samples for n in presets.NAMES] == [2000, 10**6, 10**7, 10**8]
    assert presets.resolve("quick", samples=5).samples == 5
    with pytest.raises(ValueError, match="unknown preset 'fast': one of smoke, quick"):
        presets.resolve("fast")
    assert presets.resolve("smoke", mnist_latent_dims=[2, 7]).mnist_latent_dims == [2, 7]
    with pytest.raises(ValueError, match=r"mnist_latent_dims is \[0\], but must be a list"):
        presets.resolve("quick", mnist_latent_dims=[0])
    with pytest.raises(ValueError, match=r"samples is 1\.5"):
        presets.resolve("quick", samples=1.5)
    with pytest.raises(ValueError, match="allow_embedded is 'false', but must be True or False"):
        presets.resolve("quick", allow_embedded="false")  # which would be true


@pytest.mark.parametrize(
    ("value", "default", "meant"),
    [
        ("[3]", [0], [3]),
        ("[0, 1, 2]", [0], [0, 1, 2]),
        ("0, 1", [0], [0, 1]),
        ("[]", [3], []),
        ('["wake_sleep"]', ["aevb"], ["wake_sleep"]),
        ("wake_sleep", ["aevb"], ["wake_sleep"]),
        (3, [0], [3]),
        ("None", [0], None),
        ("None", None, None),
        ("0.02", None, 0.02),
        ("12", 20, 12),
        (1e6, 2000, 10**6),
        (1.5, 2000, 1.5),
        (1.0, 0.02, 1.0),
        ("smoke", "quick", "smoke"),
        ("12", "quick", "12"),
        ("twelve", 20, "twelve"),
    ],
)
def test_what_papermill_passes_is_read_as_it_was_meant(value, default, meant):
    found = presets.typed(value, default)
    assert found == meant
    assert type(found) is type(meant)
    sizes = presets.resolve("smoke", 1e3, "True", "[5]", "[]", n_train=250)
    assert sizes == presets.Settings("smoke", 1000, True, [5], [], [250])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "cifar"}, "unknown dataset 'cifar': one of mnist"),
        ({"latent_dim": 0}, "latent_dim is 0, but must be an integer, at least 1"),
        ({"samples": 1e6}, "samples is 1000000.0"),
        ({"n_samples": 0}, "n_samples is 0"),
        ({"step_size": 0.0}, "step_size is 0.0, but must be above 0"),
        ({"step_size": float("nan")}, "step_size is nan, but must be above 0"),
        ({"step_size": float("inf")}, "step_size is inf, but must be above 0 and finite"),
        ({"step_size": "fast"}, "step_size is 'fast', but must be above 0 and finite, or None"),
        ({"measure": "mse"}, "unknown measure 'mse': one of lower_bound, marginal_log_likelihood"),
        ({"algorithm": "mcem"}, "no encoder, hence no lower bound: measure="),
    ],
)
def test_an_experiment_refuses_bad_settings(small, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(small, **change)


def test_every_setting_is_part_of_the_key(small):
    changes = {
        "dataset": "mnist", "latent_dim": 3, "samples": 400, "seed": 1, "step_size": 0.01,
        "batch_size": 50, "n_samples": 2, "algorithm": "wake_sleep", "hidden": 9, "n_train": 100,
        "measure": "marginal_log_likelihood",
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(Experiment)}
    keys = {dataclasses.replace(small, **{name: value}).key for name, value in changes.items()}
    assert len(keys | {small.key}) == len(changes) + 1


def test_equal_settings_have_one_key(small):
    for name, values in {
        "step_size": (1, 1.0, np.float64(1), np.int32(1)),
        "latent_dim": (1, True, np.int64(1), np.uint8(1)),
        "seed": (0, False, np.int64(0)),
        "n_train": (1, np.int64(1)),
    }.items():
        same = [dataclasses.replace(small, **{name: value}) for value in values]
        assert len({experiment.key for experiment in same}) == 1
        json.dumps(dataclasses.asdict(same[-1]))


def test_no_experiment_is_an_error():
    with pytest.raises(ValueError, match="no experiment to run: each list of sizes, seeds or"):
        experiments.run_all([])


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
    assert first.record["curve"] == second.record["curve"]
    for a, b in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_step_size_is_the_best_after_the_first_few_iterations(faces, monkeypatch):
    """The trial leaves no trace: the run is that of the chosen step size given at once."""
    experiment = Experiment("synthetic_faces", 2, samples=2000, hidden=20)
    run = experiments.run(experiment, faces)
    trials = run.record["trials"]
    assert list(trials) == ["0.01", "0.02", "0.1"]
    best = run.record["step_size"]
    assert trials[str(best)] == max(trials.values())
    given = experiments.run(dataclasses.replace(experiment, step_size=best), faces)
    assert given.record["curve"] == run.record["curve"]
    assert "trials" not in given.record
    model = experiment.build(faces)  # what a trial is: ten minibatches
    model.optimizer.learning_rate.assign(0.1)
    model.fit(faces.x_train[:1000], verbose=0)
    assert model.elbo(faces.x_train).mean() == pytest.approx(trials["0.1"], rel=0.3)
    table = experiments.step_sizes([run, given])
    assert list(table.step_size) == [best, best]


def test_a_step_size_that_diverges_is_not_chosen(faces, monkeypatch):
    monkeypatch.setattr(step_size, "STEP_SIZES", (0.01, 1e30))
    run = experiments.run(Experiment("synthetic_faces", 2, samples=1000, hidden=5), faces)
    assert run.record["step_size"] == 0.01
    assert run.record["trials"]["1e+30"] is None


def test_the_curve_is_recorded_evenly_on_a_log_scale(faces):
    points = Experiment("mnist", 20, samples=10**7).recorded_at
    assert points[::10] == [10**5, 10**6, 10**7]
    assert len(points) == 21
    quick = Experiment("mnist", 20, samples=10**6)
    assert quick.recorded_at[::7] == [100_000, 1_000_000]
    assert len(quick.recorded_at) == 8
    assert len(dataclasses.replace(quick, measure="marginal_log_likelihood").recorded_at) == 8
    run = experiments.run(
        Experiment("synthetic_faces", 2, samples=10_000, hidden=5, step_size=0.02), faces
    )
    table = experiments.table([run])
    for split in ("train", "test"):
        samples = list(table[table.split == split].samples)
        assert samples == sorted(set(samples))
        assert len(samples) == 3
        for taken, point in zip(samples, run.experiment.recorded_at, strict=True):
            assert point <= taken < point + 1600  # the next end of an execution
    assert run.samples == 10_000


def test_taking_the_curve_leaves_the_epochs_metrics_alone(faces):
    """The bound of the full sets is not mixed into what `fit` shows."""
    experiment = Experiment("synthetic_faces", 2, samples=3200, hidden=5, step_size=0.02)
    model = experiment.build(faces)
    history = model.fit(faces.x_train, epochs=2, verbose=0).history["elbo"]
    seen = []

    class Note(training.StopAtSamples):
        def on_epoch_end(self, epoch, logs):
            seen.append(logs["elbo"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "StopAtSamples", Note)
        patch.setattr(Experiment, "recorded_at", [1600, 3200])
        experiments.run(experiment, faces)
    assert seen[0] == history[0]
    assert seen[1] == pytest.approx(history[1], rel=0.1)  # the recorded bounds drew noise


def test_the_first_n_train_points(faces):
    experiment = Experiment("synthetic_faces", 2, samples=500, n_train=250, step_size=0.02)
    np.testing.assert_array_equal(experiment.training_set(faces), faces.x_train[:250])
    assert experiment.build(faces).weight_decay == 1 / 250
    with pytest.raises(ValueError, match="n_train is 9999, but synthetic_faces has 1600"):
        experiments.run(dataclasses.replace(experiment, n_train=9999), faces)


@pytest.mark.parametrize("algorithm", ["aevb", pytest.param("mcem", marks=pytest.mark.long)])
def test_a_run_may_record_the_marginal_likelihood(faces, algorithm, monkeypatch):
    """By appendix D on the first points of each split; a stopped run goes on bit for bit."""
    experiment = Experiment(
        "synthetic_faces", 2, 4500, algorithm, hidden=5, n_train=200, step_size=0.02,
        measure="marginal_log_likelihood",
    )  # fmt: skip
    assert experiment.recorded_at == [4500]
    assert len(dataclasses.replace(experiment, samples=10**7).recorded_at) == 13
    run = experiments.run(experiment, faces)
    table = experiments.table([run])
    assert list(table.columns) == [
        "dataset", "n_train", "latent_dim", "algorithm", "split", "samples",
        "marginal_log_likelihood", "error", "acceptance", "seed",
    ]  # fmt: skip
    assert list(table.split) == ["train", "test"]
    assert (table.samples == 4500).all()
    assert run.model.visits == (4500 if algorithm == "aevb" else 300)
    estimate = likelihood.appendix_d(run.model, faces.x_test[:100])
    nats = table.set_index("split").marginal_log_likelihood
    assert nats["test"] == pytest.approx(estimate.log_likelihood.mean(), abs=0.5)
    if algorithm == "aevb":  # how it goes on is tested elsewhere
        return
    store.drop(experiment.key)

    class Stop(training.StopAtSamples):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "CHECKPOINT_EVERY_S", 0)
        patch.setattr(training, "StopAtSamples", Stop)
        with pytest.raises(KeyboardInterrupt):
            experiments.run(experiment, faces)
    again = experiments.run(experiment, faces)
    assert again.record["curve"] == run.record["curve"]


def test_combinations(faces):
    chosen = experiments.combinations(
        faces, latent_dim=[2, 3], algorithm=["aevb", "wake_sleep"], samples=10
    )
    assert [(e.latent_dim, e.algorithm, e.samples) for e, _ in chosen] == [
        (2, "aevb", 10), (2, "wake_sleep", 10), (3, "aevb", 10), (3, "wake_sleep", 10),
    ]  # fmt: skip


def test_the_recipe_is_the_papers(faces):
    model = Experiment("synthetic_faces", 5, 1000).build(faces)
    assert model.weight_decay == 1 / 1600
    assert model.n_samples == 1
    assert model.estimator == "B"
    assert type(model.optimizer).__name__ == "Adagrad"
    assert model.encoder.get_layer("hidden").units == 200


def test_the_bound_in_the_table_is_that_of_the_model(small, faces):
    run = experiments.run(dataclasses.replace(small, samples=20_000), faces)
    table = experiments.table([run], last=True)
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
    assert all("embedded faces\n(synthetic, not Frey Face)" in title for title in titles)
    record = provenance.record("fig_manifold", {"preset": "smoke"}, [run], [])
    assert record["data"]["synthetic_faces"]["embedded"]
    assert record["data"]["synthetic_faces"]["sha256"] == faces.sha256
    assert record["runs"][0]["data_sha256"] == faces.sha256
    assert record["runs"][0]["made_by"][0]["sources"] == version.SOURCES
    assert record["runs"][0]["seed"] == 0
    json.dumps(record)


def test_embedded_data_are_not_fresh_once_the_real_data_are_found(tmp_path, monkeypatch):
    found = {
        "sources": provenance.source_hash("fig_samples"),
        "parameters": provenance.parameters("fig_samples", "quick"),
        "files": [],
        "data": {"mnist_5k": {}},
    }
    (tmp_path / "fig_samples.json").write_text(json.dumps(found))
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    assert provenance.is_fresh("fig_samples", "quick", tmp_path)
    assert not provenance.is_fresh("fig_samples", "smoke", tmp_path)
    (tmp_path / "mnist.npz").write_bytes(b"")
    monkeypatch.setenv("VAE_KERAS_DATA", str(tmp_path))
    assert not provenance.is_fresh("fig_samples", "quick", tmp_path)


def test_a_figure_is_stale_once_anything_that_decides_it_has_changed(tmp_path, monkeypatch):
    """The package with its data and style, the notebook's code, what the preset says."""
    name = "fig_lower_bound"
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)

    def is_fresh():
        return provenance.is_fresh(name, "smoke", tmp_path)

    def copied(folder, **kwargs):
        return shutil.copytree(folder, tmp_path / folder.name, **kwargs)

    figures.save(
        figures.graphical_model(), name,
        provenance.parameters(name, "smoke") | {"figures_dir": tmp_path},
    )  # fmt: skip
    assert is_fresh()

    package = copied(version.PACKAGE)
    assert version.hash_of(package) == version.SOURCES
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "models.cpython-311.pyc").write_bytes(b"compiled")
    (package / ".figures.py.swp").write_bytes(b"open in an editor")
    assert version.hash_of(package) == version.SOURCES
    wing = ("paper.py", "paper_figure2.csv", "paper_figure3.csv", "paper.mplstyle")
    decides = {f"reproduction/{name}" for name in wing}
    for file in decides | {"models/vae.py"}:
        content = (package / file).read_bytes()
        (package / file).write_bytes(content + b"\n")
        changed = version.hash_of(package)
        assert changed != version.SOURCES
        (package / file).write_bytes(content)
    with monkeypatch.context() as patch:
        patch.setattr(version, "SOURCES", changed)
        assert not is_fresh()
    assert is_fresh()

    notebooks = copied(paths.NOTEBOOKS, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(paths, "NOTEBOOKS", notebooks)
    monkeypatch.setattr(paths, "PRESETS", notebooks / "presets")
    assert is_fresh()
    for file, words, others, fresh in (
        (f"{name}.ipynb", "Higher is better.", "Higher is good.", True),
        (f"{name}.ipynb", "paper.differences(bounds)", "paper.claims(bounds)", False),
        ("presets/smoke.yaml", "# Seconds a figure", "# Minutes a figure", True),
        ("presets/smoke.yaml", "samples: 2000", "samples: 3000", False),
        ("presets/smoke.yaml", "frey_face_latent_dims: [2]", "frey_face_latent_dims: [5]", False),
    ):
        content = (notebooks / file).read_text()
        assert words in content
        (notebooks / file).write_text(content.replace(words, others))
        assert is_fresh() == fresh, (file, words)
        (notebooks / file).write_text(content)


def test_the_commit_is_that_of_the_kits_own_checkout(tmp_path, monkeypatch):
    """Not that of a user's project in whose folder it is installed."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    monkeypatch.setattr(version, "PACKAGE", tmp_path / "site-packages" / "vae_keras")
    (tmp_path / "site-packages").mkdir()
    assert version.commit() is None


def test_a_figure_with_other_parameters_lies_elsewhere_and_is_not_fresh(tmp_path, monkeypatch):
    """No other run overwrites the figures of a preset."""
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    name, figure = "fig_samples", figures.graphical_model()
    cell = provenance.parameters(name, "quick") | {"samples": None, "figures_dir": None}
    assert figures.save(figure, name, cell) == tmp_path / "quick"
    assert provenance.is_fresh(name, "quick", tmp_path / "quick")
    before = (tmp_path / "quick" / f"{name}.json").read_bytes()
    for other in ({"seed": 7}, {"step_size": 0.1}, {"samples": 1000}, {"rows": 3}):
        assert figures.save(figure, name, cell | other) == tmp_path / "custom"
    assert figures.save(figure, name, cell | {"samples": 10**6}) == tmp_path / "quick"  # the same
    assert figures.save(figure, name, cell | {"preset": "smoke"}) == tmp_path / "smoke"
    assert json.loads((tmp_path / "quick" / f"{name}.json").read_bytes())["preset"] == "quick"
    assert json.loads(before)["parameters"] == provenance.parameters(name, "quick")
    chosen = tmp_path / "mine"
    assert figures.save(figure, name, cell | {"seed": 7, "figures_dir": str(chosen)}) == chosen
    assert not provenance.is_fresh(name, "quick", chosen)
    monkeypatch.chdir(tmp_path)
    assert str(figures.save(figure, name, cell | {"figures_dir": 2024})) == "2024"  # a path too


def test_a_project_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "FIGURES", tmp_path / "figures")
    assert paths.figures("quick") == tmp_path / "figures" / "quick"
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path / "mine"))
    assert paths.figures("quick") == tmp_path / "mine" / "figures" / "quick"
    monkeypatch.delenv("VAE_KERAS_RESULTS")
    with pytest.raises(OSError, match="figures cannot be written: let VAE_KERAS_RESULTS name"):
        paths.figures("quick")


def test_short_runs_measure_the_first_points_only(faces, monkeypatch):
    monkeypatch.setattr(measures, "BOUNDED", {0: 30, 400: None})
    seen = []
    elbo = VAE.elbo
    monkeypatch.setattr(VAE, "elbo", lambda self, x: seen.append(len(x)) or elbo(self, x))
    for samples, points in ((300, [30, 30]), (400, [1600, 400])):
        seen.clear()
        experiments.run(Experiment("synthetic_faces", 2, samples, hidden=5, step_size=0.02), faces)
        assert seen[-2:] == points
    for samples, (bounded, estimated) in {
        2000: (10_000, 100), 10**6: (10_000, 300), 10**7: (None, 1000), 10**8: (None, 1000),
    }.items():  # fmt: skip
        monkeypatch.undo()
        experiment = Experiment("mnist", 2, samples)
        assert measures._points(measures.BOUNDED, experiment) == bounded
        assert measures._points(measures.ESTIMATED, experiment) == estimated
