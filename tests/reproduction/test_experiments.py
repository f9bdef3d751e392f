"""Experiments: what they refuse, their keys, their models, their tables."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from vae_keras import datasets
from vae_keras.layers import Bernoulli, DiagonalGaussian
from vae_keras.reproduction import experiments, runs
from vae_keras.reproduction.experiments import Experiment


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "cifar"}, "unknown dataset 'cifar': one of mnist"),
        ({"latent_dim": 0}, "latent_dim is 0, but must be an integer of at least 1"),
        ({"samples": 1e6}, "samples is 1000000.0"),
        ({"n_samples": 0}, "n_samples is 0"),
        ({"step_size": 0.0}, "step_size is 0.0, but must be above 0"),
        ({"step_size": float("nan")}, "step_size is nan, but must be above 0"),
        ({"step_size": float("inf")}, "step_size is inf, but must be above 0 and finite"),
        ({"step_size": "fast"}, "step_size is 'fast', but must be above 0 and finite, or None"),
        ({"measure": "mse"}, "unknown measure 'mse': one of lower_bound, marginal_log_likelihood"),
        ({"order": "random"}, "unknown order 'random': one of replacement, passes"),
        ({"warm_up": -1}, "warm_up is -1, but must be an integer of at least 0"),
        ({"stddev": -0.1}, "stddev is -0.1, but must be at least 0 and finite"),
        ({"stddev": "wide"}, "stddev is 'wide', but must be at least 0 and finite"),
        ({"log_variance_scale": 0.0}, "log_variance_scale is 0.0, but must be above 0 and finite"),
        ({"log_variance_scale": "low"}, "log_variance_scale is 'low', but must be above 0"),
        ({"algorithm": "mcem"}, "no encoder, hence no lower bound: use measure="),
    ],
)
def test_an_experiment_refuses_bad_settings(small, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(small, **change)


def test_every_setting_but_how_far_it_is_to_come_is_part_of_the_key(small):
    changes = {
        "dataset": "mnist", "latent_dim": 3, "seed": 1, "step_size": 0.01, "batch_size": 50,
        "n_samples": 2, "algorithm": "wake_sleep", "hidden": 9, "n_train": 100,
        "measure": "marginal_log_likelihood", "order": "passes", "warm_up": 100, "stddev": 0.2,
        "log_variance_scale": 0.5,
    }  # fmt: skip
    assert set(changes) | {"samples"} == {field.name for field in dataclasses.fields(Experiment)}
    assert dataclasses.replace(small, samples=400).key == small.key
    keys = {dataclasses.replace(small, **{name: value}).key for name, value in changes.items()}
    assert len(keys | {small.key}) == len(changes) + 1


def test_equal_settings_have_one_key(small):
    for name, values in {
        "step_size": (1, 1.0, np.float64(1), np.int32(1)),
        "latent_dim": (1, True, np.int64(1), np.uint8(1)),
        "seed": (0, False, np.int64(0)),
        "n_train": (1, np.int64(1)),
        "log_variance_scale": (1, 1.0, np.float64(1)),
    }.items():
        same = [dataclasses.replace(small, **{name: value}) for value in values]
        assert len({experiment.key for experiment in same}) == 1
        json.dumps(dataclasses.asdict(same[-1]))


def test_a_finished_run_is_taken_from_the_store(run, small, faces, monkeypatch):
    assert run.model.samples_evaluated == small.samples
    monkeypatch.setattr(Experiment, "build", lambda *_: pytest.fail("trained again"))
    again = runs.run(small, faces)
    assert run.record == again.record
    np.testing.assert_equal(again.model.get_weights(), run.model.get_weights())
    with pytest.raises(ValueError, match="'synthetic_faces', the data on 'mnist_5k'"):
        runs.run(small, dataclasses.replace(faces, name="mnist_5k"))


@pytest.mark.long
def test_the_curve_is_recorded_on_the_grid_and_at_the_end(faces):
    """At the end of the minibatch that reaches it."""
    settings = {"hidden": 5, "step_size": 0.02, "batch_size": 130, "warm_up": 1}
    run = runs.run(Experiment("synthetic_faces", 2, 10_000, **settings), faces)
    table = runs.table([run])
    for split in ("train", "test", "running"):
        assert list(table[table.split == split].samples) == [1040, 3120, 10_010]
    assert run.samples == run.model.samples_evaluated == run.experiment.reached(10_000) == 10_010


def test_the_first_n_train_points(faces):
    experiment = Experiment("synthetic_faces", 2, samples=500, n_train=250, step_size=0.02)
    np.testing.assert_array_equal(experiment.training_set(faces), faces.x_train[:250])
    assert experiment.build(faces).weight_decay == 1 / 250
    whole = dataclasses.replace(experiment, n_train=None).build(faces)
    assert (whole.weight_decay, whole.n_samples) == (1 / 1600, 1)
    with pytest.raises(ValueError, match="n_train is 9999, but synthetic_faces has 1600"):
        runs.run(dataclasses.replace(experiment, n_train=9999), faces)


def test_combinations(faces):
    chosen = experiments.combinations(
        faces, latent_dim=[2, 3], algorithm=["aevb", "wake_sleep"], samples=10
    )
    assert [(e.latent_dim, e.algorithm, e.samples) for e, _ in chosen] == [
        (2, "aevb", 10), (2, "wake_sleep", 10), (3, "aevb", 10), (3, "wake_sleep", 10),
    ]  # fmt: skip


def test_the_bound_in_the_table_is_that_of_the_model(run, faces):
    table = runs.table([run], last=True)
    assert list(table.columns) == [
        "dataset", "latent_dim", "algorithm", "split", "samples", "lower_bound", "seed",
    ]  # fmt: skip
    for split, x in (("train", faces.x_train), ("test", faces.x_test)):
        row = table[table.split == split].iloc[0]
        assert row.lower_bound == pytest.approx(run.model.elbo(x, n_samples=20).mean(), abs=3)


def images(name, pixels, n=30):
    x = np.zeros((n, pixels), "uint8")
    return datasets.Dataset(name, name, x, x[:9], (pixels, 1), "a test")


@pytest.mark.parametrize(
    ("dataset", "pixels", "hidden", "layer"),
    [
        ("mnist", 784, 500, Bernoulli),
        ("mnist_5k", 784, 500, Bernoulli),
        ("frey_face", 560, 200, DiagonalGaussian),
        ("synthetic_faces", 560, 200, DiagonalGaussian),
    ],
)
def test_the_networks_are_those_of_appendix_c(dataset, pixels, hidden, layer):
    """And Adagrad's sums of squares begin at 0."""
    model = Experiment(dataset, 3, 100, n_samples=2, step_size=0.1, n_train=30)
    model = model.build(images(dataset, pixels))
    for network in (model.encoder, model.decoder):
        assert network.get_layer("hidden").units == hidden
    assert isinstance(model.encoder.layers[-1], DiagonalGaussian)
    assert isinstance(model.decoder.layers[-1], layer)
    assert (model.n_samples, model.estimator) == (2, "B")
    assert type(model.optimizer) is keras.optimizers.Adagrad
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
    sums = [v for v in model.optimizer.variables if "accumulator" in v.path]
    assert len(sums) == len(model.trainable_variables)
    assert {float(value) for v in sums for value in np.unique(v.numpy())} == {0.0}


def test_the_seed_alone_decides_the_weights_and_the_noise_at_the_beginning(small, faces):
    """Not Python's or Keras's generator, of which other threads draw as well."""

    def begin(seed, of_generators):
        keras.utils.set_random_seed(of_generators)
        model = dataclasses.replace(small, seed=seed, log_variance_scale=0.1).build(faces)
        noise = model.noise_seed(training=True).numpy()
        return [*model.get_weights(), noise], model.seed

    (one, seed), (same, same_seed), (other, other_seed) = begin(1, 0), begin(1, 5), begin(0, 0)
    np.testing.assert_equal(same, one)
    assert seed == same_seed != other_seed
    drawn = [(a, b) for a, b in zip(one, other, strict=True) if a.size > 1]
    assert len(drawn) == 11  # six weights of the encoder, four of the decoder, and the noise
    drawn = [pair for pair in drawn if np.any(pair[0])]
    assert len(drawn) == 7  # without what begins at 0
    for a, b in drawn:
        assert not np.array_equal(a, b)


def test_the_algorithms_are_built_as_they_are_called(small, faces):
    for name, algorithm in experiments.ALGORITHMS.items():
        experiment = dataclasses.replace(
            small, algorithm=name, n_train=200, measure="marginal_log_likelihood"
        )
        model = experiment.build(faces)
        assert type(model) is algorithm
        assert model.name == name
        assert model.weight_decay == 1 / 200
        assert experiment.evaluations == model.evaluations
        # whole minibatches, and never fewer evaluations than were asked for
        for samples in (1, 1500, 3999, 4000):
            reached = experiment.reached(samples)
            assert reached == experiment.minibatches(samples) * 100 * model.evaluations
            assert reached - 100 * model.evaluations < samples <= reached


def test_another_recipe_has_other_keys(small, monkeypatch):
    before = small.key
    assert before.startswith("aevb-synthetic_faces-2d-")
    monkeypatch.setattr(experiments, "RECIPE", experiments.RECIPE + 1)
    assert small.key != before


def test_who_made_the_runs_is_told_once_a_version(small, monkeypatch, capsys):
    def run(title_seed, sources):
        record = {"made_by": [{"version": "0.1", "commit": None, "sources": sources}]}
        return runs.Run(dataclasses.replace(small, seed=title_seed), None, record)

    runs._tell_of_others([run(1, "a"), run(2, "b"), run(3, "a"), run(4, "a")])
    assert capsys.readouterr().out.splitlines() == [
        "from the store, made by version 0.1 (sources a): "
        "aevb synthetic_faces N_z=2, seed 1 and 2 more",
        "from the store, made by version 0.1 (sources b): aevb synthetic_faces N_z=2, seed 2",
    ]


@pytest.mark.parametrize(
    ("dataset", "algorithm", "recipe"),
    [
        ("mnist", "aevb", (500, 100, 50_000, 0.02, 0.1)),
        ("mnist", "wake_sleep", (500, 100, 50_000, 0.02, 0.1)),
        ("mnist_5k", "wake_sleep", (500, 100, None, 0.02, 0.1)),
        ("frey_face", "aevb", (200, 500, None, 0.02, 0.1)),
        ("synthetic_faces", "full_vb", (200, 50, None, 0.03, 1.0)),
    ],
)
def test_what_is_not_given_is_the_papers_or_the_embedded_faces_own(dataset, algorithm, recipe):
    """And has the key of what is given so."""
    experiment = Experiment(dataset, 3, 1000, algorithm)
    names = ("hidden", "batch_size", "n_train", "step_size", "log_variance_scale")
    assert tuple(getattr(experiment, name) for name in names) == recipe
    assert (
        Experiment(dataset, 3, 1000, algorithm, **dict(zip(names, recipe, strict=True))).key
        == experiment.key
    )
    two = [
        Experiment("frey_face", z, 1000, a).step_size for a, z in (("aevb", 2), ("wake_sleep", 2))
    ]
    assert two == [0.01, 0.02]
    third = Experiment(dataset, 3, 1000, "aevb", measure="marginal_log_likelihood")
    assert third.step_size == (0.02 if dataset == "mnist" else 0.1)  # by the training points
    assert third.warm_minibatches == third.warm_up == 100
    stddev = 0.1 if dataset == "synthetic_faces" else 0.01
    assert (experiment.warm_up, experiment.stddev, experiment.order) == (
        100, stddev, "replacement",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("algorithm", "n_train", "recipe"),
    [
        ("aevb", 1000, (0.1, 0.1)), ("aevb", None, (0.02, 0.1)), ("aevb", 50_000, (0.02, 0.1)),
        ("wake_sleep", 1000, (0.1, 0.1)), ("wake_sleep", 50_000, (0.02, 1.0)),
        ("mcem", 1000, (0.1, 0.1)),
    ],
)  # fmt: skip
def test_figure_3_has_a_step_size_a_training_set(algorithm, n_train, recipe):
    settings = {"algorithm": algorithm, "n_train": n_train, "measure": "marginal_log_likelihood"}
    experiment = Experiment("mnist", 3, 1000, **settings)
    assert (experiment.step_size, experiment.log_variance_scale) == recipe
    given = dict(zip(("step_size", "log_variance_scale"), recipe, strict=True))
    assert Experiment("mnist", 3, 1000, **settings, **given).key == experiment.key


@pytest.mark.parametrize(
    ("dataset", "n_train", "batch_size"),
    [("mnist", None, 50_000), ("mnist", 1000, 1000), ("mnist_5k", None, 4000), ("mnist_5k", 7, 7)],
)
def test_a_step_of_monte_carlo_em_is_of_all_training_points(dataset, n_train, batch_size):
    """Each of them once: its chains stand in order."""
    measure = "marginal_log_likelihood"
    mcem = Experiment(dataset, 3, 10**6, "mcem", n_train=n_train, measure=measure)
    assert (mcem.batch_size, mcem.order) == (batch_size, "passes")
    assert (mcem.step_size, mcem.warm_up, mcem.warm_minibatches) == (0.1, 0, 0)
    assert mcem.reached(1) == 15 * batch_size
    slow = dataclasses.replace(mcem, warm_up=100)
    assert slow.warm_minibatches == 20  # of five updates each
    assert dataclasses.replace(slow, warm_up=99).warm_minibatches == 20


@pytest.mark.parametrize("name", datasets.STAND_IN.values())
def test_all_points_are_as_many_as_there_are(name):
    assert experiments.ALL[name] == len(datasets.load(name).x_train)


def test_a_pixel_is_its_byte_by_256(small):
    x = np.array([[0, 128, 255]], "uint8")
    np.testing.assert_array_equal(small.pixels(x), [[0, 0.5, 255 / 256]])
    assert small.pixels(x).dtype == np.float32
    given = x / np.float32(255)
    assert small.pixels(given) is given


def test_dreams_of_faces_are_clipped_to_what_pixels_are(small, faces):
    asleep = dataclasses.replace(small, algorithm="wake_sleep").build(faces)
    assert asleep.clip == (0.0, 1.0)
    digits = Experiment("mnist_5k", 3, 100, "wake_sleep", hidden=5)
    assert digits.build(images("mnist_5k", 784)).clip is None
