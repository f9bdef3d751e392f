"""What is recorded along a run, and on how many points."""

import dataclasses
import types

import numpy as np
import pytest

from vae_keras import likelihood
from vae_keras.models.vae import VAE
from vae_keras.reproduction import measures, runs, store, training
from vae_keras.reproduction.experiments import Experiment

pytestmark = pytest.mark.usefixtures("no_xla")


@pytest.mark.parametrize("algorithm", ["aevb", pytest.param("mcem", marks=pytest.mark.long)])
def test_a_run_may_record_the_marginal_likelihood(faces, algorithm, monkeypatch):
    """By appendix D on the first points of each split; a stopped run goes on bit for bit."""
    experiment = Experiment(
        "synthetic_faces", 2, 4500, algorithm, hidden=5, n_train=200, step_size=0.02,
        measure="marginal_log_likelihood",
    )  # fmt: skip
    assert experiment.recorded_at == [4500]
    assert len(dataclasses.replace(experiment, samples=10**7).recorded_at) == 13
    run = runs.run(experiment, faces)
    table = runs.table([run])
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
            runs.run(experiment, faces)
    again = runs.run(experiment, faces)
    assert again.record["curve"] == run.record["curve"]


def test_short_runs_measure_the_first_points_only(faces, monkeypatch):
    monkeypatch.setattr(measures, "BOUNDED", {0: 30, 400: None})
    seen = []
    elbo = VAE.elbo
    monkeypatch.setattr(VAE, "elbo", lambda self, x: seen.append(len(x)) or elbo(self, x))
    for samples, points in ((300, [30, 30]), (400, [1600, 400])):
        seen.clear()
        runs.run(Experiment("synthetic_faces", 2, samples, hidden=5, step_size=0.02), faces)
        assert seen[-2:] == points
    for samples, (bounded, estimated) in {
        2000: (10_000, 100), 10**6: (10_000, 300), 10**7: (None, 1000), 10**8: (None, 1000),
    }.items():  # fmt: skip
        monkeypatch.undo()
        experiment = Experiment("mnist", 2, samples)
        assert measures._points(measures.BOUNDED, experiment) == bounded
        assert measures._points(measures.ESTIMATED, experiment) == estimated


def test_log_likelihood_is_averaged_a_split_with_its_error(small, monkeypatch):
    """In one estimate of all points, in the splits' order; the error is that of a mean."""
    splits = {"train": np.arange(1.0, 6)[:, None], "test": np.array([[10.0], [20.0]])}

    def appendix_d(model, x):
        x = x[:, 0]
        return -x, 3 * x, x / 100  # nats, their errors, HMC's acceptance

    monkeypatch.setattr(likelihood, "appendix_d", appendix_d)
    found = measures.log_likelihood(None, splits, small)
    assert found == {
        "train": {
            "marginal_log_likelihood": -3.0,
            "error": round(3 * np.sqrt(1 + 4 + 9 + 16 + 25) / 5, 3),
            "acceptance": 0.03,
        },
        "test": {
            "marginal_log_likelihood": -15.0,
            "error": round(3 * np.sqrt(100 + 400) / 2, 3),
            "acceptance": 0.15,
        },
    }


def test_each_measure_is_a_column_of_that_name(small, monkeypatch):
    splits = {"train": np.full((3, 1), 2.004), "test": np.full((2, 1), 1.0)}
    model = types.SimpleNamespace(elbo=lambda x: -x[:, 0])
    assert measures.lower_bound(model, splits, small) == {
        "train": {"lower_bound": -2.0},
        "test": {"lower_bound": -1.0},
    }
    monkeypatch.setattr(likelihood, "appendix_d", lambda _, x: (x[:, 0], x[:, 0], x[:, 0]))
    for name, (measure, columns) in measures.MEASURES.items():
        assert all(name in row for row in measure(model, splits, small).values())
        assert set(columns) <= {field.name for field in dataclasses.fields(Experiment)}
