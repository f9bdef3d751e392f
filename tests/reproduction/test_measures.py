"""What is recorded along a run, and on how many points."""

import dataclasses
import functools
import types

import numpy as np
import pytest

from vae_keras import marginal_likelihood
from vae_keras.reproduction import measures, paper, runs
from vae_keras.reproduction.experiments import Experiment


@pytest.mark.long
def test_a_run_may_record_the_marginal_likelihood(faces):
    """By appendix D on the first points of each split."""
    experiment = Experiment(
        "synthetic_faces", 2, 4500, "mcem", hidden=5, n_train=200, step_size=0.02,
        measure="marginal_log_likelihood", batch_size=100, warm_up=2,
    )  # fmt: skip
    run = runs.run(experiment, faces)
    table = runs.table([run])
    assert list(table.columns) == [
        "dataset", "n_train", "latent_dim", "algorithm", "split", "samples",
        "marginal_log_likelihood", "error", "acceptance", "lower_bound", "seed",
    ]  # fmt: skip
    assert list(table.split) == ["train", "test"]
    assert (table.samples == 4500).all()
    assert run.model.examples_seen == 300
    estimate = marginal_likelihood.appendix_d(run.model, faces.x_test[:100])
    nats = table.set_index("split").marginal_log_likelihood
    assert nats["test"] == pytest.approx(estimate.log_likelihood.mean(), abs=0.5)


def of(measure="lower_bound", dataset="mnist", algorithm="aevb", latent_dim=20, **settings):
    return Experiment(dataset, latent_dim, 10**8, algorithm, measure=measure, **settings)


CURVES = [
    ("lower_bound", "mnist", "aevb", 20),
    ("lower_bound", "mnist", "wake_sleep", 200),
    ("lower_bound", "mnist_5k", "full_vb", 7),
    ("lower_bound", "frey_face", "wake_sleep", 2),
    ("lower_bound", "synthetic_faces", "aevb", 5),
    ("marginal_log_likelihood", "mnist", "mcem", 3),
    ("marginal_log_likelihood", "mnist_5k", "wake_sleep", 3),
    ("marginal_log_likelihood", "synthetic_faces", "aevb", 2),
]


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("points", [measures.grid, measures.running_mean_starts])
def test_a_longer_run_is_measured_as_a_shorter_one_and_then_on(points, curve):
    """So its curve begins as the shorter one's, and seeds have their points in common."""
    measure, dataset, algorithm, latent_dim = curve
    experiment = of(measure, dataset, algorithm, latent_dim)
    whole = points(experiment, 10**8)
    assert whole == sorted(set(whole))
    for samples in (1, 999, 2000, 10**5, 10**6, 10**6 + 1, 10**7):
        shorter = dataclasses.replace(experiment, samples=samples, seed=4, hidden=7)
        assert points(shorter, samples) == [n for n in whole if n <= samples]
    if points is measures.grid:
        assert {10**5, 10**6, 10**7, 10**8} <= set(whole)


def test_a_run_is_measured_at_the_papers_own_points_the_decades_and_a_few_times_before():
    theirs = paper.points("lower_bound", "aevb", "mnist", 20, 50_000)
    assert theirs[:3] == (312_800, 565_300, 794_500)
    assert set(measures.grid(of(), 10**8)) == {
        1000, 3000, 10_000, 30_000, 10**5, 10**6, 10**7, 10**8, *theirs,
    }  # fmt: skip
    others = paper.points("lower_bound", "wake_sleep", "mnist", 20, 50_000)
    assert set(others) & set(theirs) == set()
    assert set(others) < set(measures.grid(of(algorithm="wake_sleep"), 10**8))
    digits = measures.grid(of(dataset="mnist_5k"), 10**8)
    assert digits == sorted({*measures.grid(of(), 10**8), *measures.EMBEDDED})
    faces = measures.grid(of(dataset="synthetic_faces", latent_dim=2), 10**8)
    real = measures.grid(of(dataset="frey_face", latent_dim=2), 10**8)
    assert faces == sorted({*real, *measures.EMBEDDED})
    assert set(paper.points("lower_bound", "aevb", "frey_face", 2, 1565)) < set(faces)


def test_the_marginal_likelihood_is_measured_less_often_at_the_beginning():
    """As it takes long; a run's own end is measured whatever the grid."""
    measure = "marginal_log_likelihood"
    of_1000 = functools.partial(of, measure, n_train=1000)
    assert measures.grid(of_1000(algorithm="mcem"), 4 * 10**5) == [10**5, 194_800]
    aevb = measures.grid(of_1000(), 1_300_000)
    assert aevb == [10**5, 278_200, 565_100, 839_100, 10**6, 1_122_400, 1_265_900]
    assert {421_400, 704_700, 980_200} < set(paper.points(measure, "aevb", "mnist", 3, 1000))
    assert measures.grid(of(measure, "mnist_5k"), 4500) == []
    theirs = paper.points(measure, "wake_sleep", "mnist", 3, 1000)
    assert set(measures.grid(of_1000(algorithm="wake_sleep"), 10**8)) == {
        10**5, 10**6, 10**7, 10**8, *theirs,
    }  # fmt: skip
    theirs = paper.points(measure, "aevb", "mnist", 3, 50_000)
    assert set(measures.grid(of(measure), 10**8)) == {10**5, 10**6, 10**7, 10**8, *theirs}


@pytest.mark.parametrize(
    ("theirs", "begins"),
    [
        ((100, 200, 300), [0, 100, 200]),
        ((100, 200, 300, 700, 800, 950), [0, 100, 200, 600, 700, 850]),
        ((100, 150, 300), [0, 100, 200]),
        ((100,), [0]),
    ],
)
def test_a_running_mean_goes_back_to_the_point_before_as_far_as_the_first_from_0(
    theirs, begins, monkeypatch
):
    """The paper took a point every so many minutes; of the later ones some are not read off."""
    monkeypatch.setattr(paper, "points", lambda *_: theirs)
    for n in (0, 99, 100, 600, 1000):
        assert measures.running_mean_starts(of(), n) == [b for b in begins if b <= n]


@pytest.mark.parametrize(
    ("samples", "train", "test", "estimated"),
    [
        (2000, 1000, 1000, 100), (99_999, 1000, 1000, 100), (10**5, 10_000, None, 250),
        (100_500, 10_000, None, 250),  # 10^5 in whole minibatches of Monte Carlo EM
        (194_800, 10_000, None, 1000), (999_999, 10_000, None, 1000),
        (10**6, None, None, 1000), (10**8, None, None, 1000),
    ],
)  # fmt: skip
def test_of_how_many_points_a_measure_is_taken(samples, train, test, estimated):
    """Of the whole test set wherever the paper has a point."""
    assert measures.points(measures.BOUNDED["train"], samples) == train
    assert measures.points(measures.BOUNDED["test"], samples) == test
    assert measures.points(measures.ESTIMATED, samples) == estimated


def model_at(seen, elbo=None):
    """As much of a model as a measure needs; `noise`: where its noise was set to."""
    noise = []
    model = types.SimpleNamespace(
        samples_evaluated=seen, examples_seen=seen, set_evaluation_noise=noise.append, noise=noise
    )
    if elbo is not None:
        model.elbo = elbo
    return model


def test_early_measures_are_of_the_first_points_only(small, faces, monkeypatch):
    bounded = {"train": {0: 30, 400: 1000, 500: None}, "test": {0: 30, 400: None}}
    monkeypatch.setattr(measures, "BOUNDED", bounded)
    splits = {"train": faces.x_train, "test": faces.x_test}
    for samples, points in ((300, [30, 30]), (400, [1000, 400]), (500, [1600, 400])):
        seen = []
        model = model_at(samples, lambda x, seen=seen: seen.append(len(x)) or x)
        measures.measure(small, model, splits, None)
        assert seen == points


def test_log_likelihood_is_averaged_a_split_with_its_error(small, monkeypatch):
    """In one estimate of all points, in the splits' order; the error is that of a mean."""
    splits = {"train": np.arange(1.0, 6)[:, None], "test": np.array([[10.0], [20.0]])}

    def appendix_d(model, x):
        x = x[:, 0]
        return -x, 3 * x, x / 100  # nats, their errors, HMC's acceptance

    monkeypatch.setattr(marginal_likelihood, "appendix_d", appendix_d)
    experiment = dataclasses.replace(small, measure="marginal_log_likelihood", n_train=5)
    bounded = model_at(1600, lambda x: -x[:, 0] - 1)
    train, test = measures.measure(experiment, bounded, splits, running=-9.0)
    about = {
        "dataset": "synthetic_faces", "n_train": 5, "latent_dim": 2, "algorithm": "aevb",
        "samples": 1600, "seed": 0,
    }  # fmt: skip
    assert train == about | {
        "split": "train",
        "marginal_log_likelihood": -3.0,
        "error": round(3 * np.sqrt(1 + 4 + 9 + 16 + 25) / 5, 3),
        "acceptance": 0.03,
        "lower_bound": -4.0,
    }
    assert test == about | {
        "split": "test",
        "marginal_log_likelihood": -15.0,
        "error": round(3 * np.sqrt(100 + 400) / 2, 3),
        "acceptance": 0.15,
        "lower_bound": -16.0,
    }
    without_encoder, _ = measures.measure(experiment, model_at(1600), splits, None)
    assert without_encoder == train | {"lower_bound": None}


def test_the_bound_is_averaged_a_split_beside_the_running_mean(small):
    splits = {"train": np.full((3, 1), 2.004), "test": np.full((2, 1), 1.0)}
    model = model_at(1600, lambda x: -x[:, 0])
    about = {
        "dataset": "synthetic_faces", "latent_dim": 2, "algorithm": "aevb", "samples": 1600,
        "seed": 3,
    }  # fmt: skip
    nats = {"train": -2.0, "test": -1.0, "running": -3.14}
    rows = [about | {"split": split, "lower_bound": bound} for split, bound in nats.items()]
    experiment = dataclasses.replace(small, seed=3)
    assert measures.measure(experiment, model, splits, -3.14159) == rows
    assert measures.measure(experiment, model, splits, None) == rows[:2]


def test_the_noise_of_a_measure_follows_from_where_it_is_taken(small, faces):
    """Not from what was measured before; and two measures of one run have noise of their own."""
    model, splits = small.build(faces), {"train": faces.x_train, "test": faces.x_test}
    first = measures.measure(small, model, splits, None)
    model.elbo(faces.x_test)
    assert measures.measure(small, model, splits, None) == first
    for seen, batch_size, noise in ((1600, 100, 16), (1600, 50, 32), (1700, 100, 17)):
        experiment = dataclasses.replace(small, batch_size=batch_size)
        one = model_at(seen, lambda x: x[:, 0])
        measures.measure(experiment, one, splits, None)
        assert one.noise == [noise * 10**6]
