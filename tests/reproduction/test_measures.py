"""What is recorded along a run, and on how many points."""

import dataclasses
import types

import numpy as np
import pytest

from vae_keras import likelihood
from vae_keras.models.vae import VAE
from vae_keras.reproduction import measures, runs, store
from vae_keras.reproduction.experiments import Experiment

pytestmark = pytest.mark.usefixtures("no_xla")


@pytest.mark.parametrize("algorithm", ["aevb", pytest.param("mcem", marks=pytest.mark.long)])
def test_a_run_may_record_the_marginal_likelihood(faces, algorithm, checkpointed):
    """By appendix D on the first points of each split; a stopped run goes on bit for bit."""
    experiment = Experiment(
        "synthetic_faces", 2, 4500, algorithm, hidden=5, n_train=200, step_size=0.02,
        measure="marginal_log_likelihood",
    )  # fmt: skip
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
    checkpointed(experiment, faces)
    assert store.read_progress(experiment.key)["samples"] == 3000
    again = runs.run(experiment, faces)
    assert again.record["curve"] == run.record["curve"]


def test_the_grid_is_the_same_for_all_runs():
    """So a longer run's curve begins as a shorter one's, and seeds have their points in common."""
    for measure in measures.MEASURES:
        whole = measures.grid(measure, 10**8)
        assert whole == sorted(set(whole))
        for samples in (1, 999, 2000, 10**5, 10**6, 10**6 + 1, 10**7):
            assert measures.grid(measure, samples) == [n for n in whole if n <= samples]
        assert {10**5, 10**6, 10**7, 10**8} <= set(whole)


def test_the_bound_is_recorded_evenly_on_a_log_scale():
    """Seven times a decade, from 10^6 on ten times; of short runs a few times."""
    points = measures.grid("lower_bound", 10**8)
    assert points[:4] == [1000, 3000, 10_000, 30_000]
    assert points[4:11:7] + points[11::10] == [10**5, 10**6, 10**7, 10**8]
    steps = np.diff(np.log10(points[4:]))
    np.testing.assert_allclose(steps, [1 / 7] * 7 + [1 / 10] * 20, atol=1e-5)
    assert len(measures.grid("lower_bound", 10**6)) == 12


def test_the_marginal_likelihood_is_recorded_evenly_on_a_linear_scale():
    points = measures.grid("marginal_log_likelihood", 10**7)
    assert points[:4] == [10**5, 2 * 10**5, 4 * 10**5, 7 * 10**5]
    assert points[4:] == [n * 10**6 for n in range(1, 11)]
    assert measures.grid("marginal_log_likelihood", 4500) == []  # but at the run's own end


def test_early_measures_are_of_the_first_points_only(faces, monkeypatch):
    monkeypatch.setattr(measures, "BOUNDED", {0: 30, 400: None})
    seen = []
    elbo = VAE.elbo
    monkeypatch.setattr(VAE, "elbo", lambda self, x: seen.append(len(x)) or elbo(self, x))
    for samples, points in ((300, [30, 30]), (400, [1600, 400])):
        seen.clear()
        runs.run(Experiment("synthetic_faces", 2, samples, hidden=5, step_size=0.02), faces)
        assert seen[-2:] == points


@pytest.mark.parametrize(
    ("samples", "bounded", "estimated"),
    [
        (2000, 1000, 100), (99_999, 1000, 100), (10**5, 10_000, 300), (10**6, 10_000, 300),
        (1_000_500, 10_000, 300),  # 10^6 in whole minibatches of Monte Carlo EM
        (1_258_900, None, 1000), (10**8, None, 1000),
    ],
)  # fmt: skip
def test_of_how_many_points_a_measure_is_taken(samples, bounded, estimated):
    assert measures.points(measures.BOUNDED, samples) == bounded
    assert measures.points(measures.ESTIMATED, samples) == estimated


def model_at(visits, elbo=None):
    """As much of a model as a measure needs; `noise`: where its noise was set to."""
    noise = []
    return types.SimpleNamespace(
        samples=visits, visits=visits, elbo=elbo, set_evaluation_noise=noise.append, noise=noise
    )


def test_log_likelihood_is_averaged_a_split_with_its_error(small, monkeypatch):
    """In one estimate of all points, in the splits' order; the error is that of a mean."""
    splits = {"train": np.arange(1.0, 6)[:, None], "test": np.array([[10.0], [20.0]])}

    def appendix_d(model, x):
        x = x[:, 0]
        return -x, 3 * x, x / 100  # nats, their errors, HMC's acceptance

    monkeypatch.setattr(likelihood, "appendix_d", appendix_d)
    experiment = dataclasses.replace(small, measure="marginal_log_likelihood", n_train=5)
    train, test = measures.take(experiment, model_at(1600), splits)
    about = {
        "dataset": "synthetic_faces", "n_train": 5, "latent_dim": 2, "algorithm": "aevb",
        "samples": 1600, "seed": 0,
    }  # fmt: skip
    assert train == about | {
        "split": "train",
        "marginal_log_likelihood": -3.0,
        "error": round(3 * np.sqrt(1 + 4 + 9 + 16 + 25) / 5, 3),
        "acceptance": 0.03,
    }
    assert test == about | {
        "split": "test",
        "marginal_log_likelihood": -15.0,
        "error": round(3 * np.sqrt(100 + 400) / 2, 3),
        "acceptance": 0.15,
    }


def test_each_measure_is_a_column_of_that_name(small, monkeypatch):
    splits = {"train": np.full((3, 1), 2.004), "test": np.full((2, 1), 1.0)}
    monkeypatch.setattr(likelihood, "appendix_d", lambda _, x: (x[:, 0], x[:, 0], x[:, 0]))
    for name, columns in measures.MEASURES.items():
        experiment = dataclasses.replace(small, measure=name, seed=3)
        rows = measures.take(experiment, model_at(1600, lambda x: -x[:, 0]), splits)
        for row in rows:
            assert {**row, "seed": 3, "samples": 1600} == row
            assert all(row[column] == getattr(experiment, column) for column in columns)
        nats = [-2.0, -1.0] if name == "lower_bound" else [2.0, 1.0]
        assert [(row["split"], row[name]) for row in rows] == [*zip(splits, nats, strict=True)]


def test_the_noise_of_a_measure_follows_from_where_it_is_taken(small, faces):
    """Not from what was measured before; and two measures of one run have noise of their own."""
    model, splits = small.build(faces), {"train": faces.x_train, "test": faces.x_test}
    first = measures.take(small, model, splits)
    model.elbo(faces.x_test)
    assert measures.take(small, model, splits) == first
    for visits, batch_size, noise in ((1600, 100, 16), (1600, 50, 32), (1700, 100, 17)):
        experiment = dataclasses.replace(small, batch_size=batch_size)
        one = model_at(visits, lambda x: x[:, 0])
        measures.take(experiment, one, splits)
        assert one.noise == [noise * 10**6]
