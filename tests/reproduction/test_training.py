"""One run: what is recorded when, and what its checkpoints hold."""

import dataclasses
import itertools
import types

import keras
import numpy as np
import pytest

from vae_keras.reproduction import executor, measures, runs, store, training, version


def at(curve, split="test"):
    """The samples at which it was measured."""
    return [row["samples"] for row in curve if row["split"] == split]


def fit_on(model, experiment, x, minibatches):
    """Train the model of an experiment by Keras alone; the mean bound of these minibatches."""
    history = model.fit(
        x, batch_size=experiment.batch_size, shuffle="replacement", steps_per_epoch=minibatches,
        verbose=0,
    ).history  # fmt: skip
    return history["elbo"][0]


@pytest.mark.long
def test_taking_the_curve_leaves_what_is_reported_and_learned_alone(small, faces, monkeypatch):
    """The bound of the full sets is not mixed into that of the minibatches, which `fit` has."""
    told, small = [], dataclasses.replace(small, warm_up=0)
    monkeypatch.setattr(executor, "report", told.append)
    monkeypatch.setattr(training, "REPORT_EVERY_S", 0)
    for name in ("grid", "running_mean_starts"):
        monkeypatch.setattr(measures, name, lambda experiment, samples: [1600, 3200])
    run = runs.run(small, faces)
    model, x = small.build(faces), small.pixels(faces.x_train)
    undisturbed = [fit_on(model, small, x, steps) for steps in (16, 16, 8)]
    about = {"key": small.key, "of": 4000, "objective": "elbo"}
    assert told == [
        about | {"samples": samples, "nats": nats}
        for samples, nats in zip((1600, 3200, 4000), undisturbed, strict=True)
    ]
    assert at(run.record["curve"]) == [1600, 3200, 4000]
    np.testing.assert_equal(run.model.get_weights(), model.get_weights())


def test_the_running_mean_is_that_of_the_minibatches_since_it_began(small, faces, monkeypatch):
    """Of what each gave as it was learned from, however the run is divided into calls of `fit`."""
    monkeypatch.setattr(training, "LONGEST", 7)
    monkeypatch.setattr(measures, "grid", lambda *_: [500, 2000, 3000])
    monkeypatch.setattr(measures, "running_mean_starts", lambda *_: [0, 500, 2300, 3600])
    experiment = dataclasses.replace(small, warm_up=0)
    curve = runs.run(experiment, faces).record["curve"]
    model, x = experiment.build(faces), experiment.pixels(faces.x_train)
    one_by_one = [fit_on(model, experiment, x, 1) for _ in range(40)]
    since = {500: (0, 5), 2000: (5, 20), 3000: (23, 30), 4000: (36, 40)}
    running = {r["samples"]: r["lower_bound"] for r in curve if r["split"] == "running"}
    assert running == pytest.approx(
        {samples: np.mean(one_by_one[slice(*parts)]) for samples, parts in since.items()}, abs=0.006
    )
    others = [r["lower_bound"] for r in curve if r["split"] != "running"]
    assert np.min(np.abs(np.subtract.outer([*running.values()], others))) > 0.05


@pytest.mark.long
def test_a_mean_that_begins_where_a_run_ended_is_of_what_it_goes_on_with(small, faces, monkeypatch):
    """The checkpoint at the end holds it as it begins, after the point was measured."""
    monkeypatch.setattr(measures, "grid", lambda *_: [1000])
    monkeypatch.setattr(measures, "running_mean_starts", lambda *_: [1000])
    curve = runs.run(dataclasses.replace(small, samples=1000), faces).record["curve"]
    assert at(curve, "running") == [1000]
    key = dataclasses.replace(small, samples=1000).key
    model = small.build(faces)
    store.restore(key, model)
    assert all(not np.any(v.numpy()) for v in model.metrics_variables)
    grown = runs.run(dataclasses.replace(small, samples=1100), faces).record["curve"]
    assert at(grown, "running") == [1000, 1100]
    (last,) = [r["lower_bound"] for r in grown[-3:] if r["split"] == "running"]
    one = small.build(faces)
    x = small.pixels(faces.x_train)
    with_rate(one, 0.0, small, x, small.warm_up)
    with_rate(one, small.step_size, small, x, 10 - small.warm_up)
    assert last == pytest.approx(fit_on(one, small, x, 1), abs=0.006)


def with_rate(model, rate, experiment, x, minibatches):
    model.optimizer.learning_rate.assign(rate)
    fit_on(model, experiment, x, minibatches)


@pytest.mark.first(1)
@pytest.mark.parametrize("algorithm", ["aevb", "wake_sleep"])
def test_a_run_is_what_keras_alone_makes_of_its_model(small, faces, algorithm):
    """With the step size as a schedule, in one call of `fit`."""
    experiment = dataclasses.replace(small, warm_up=12, algorithm=algorithm)
    run = runs.run(experiment, faces)
    model = experiment.build(faces)
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([11], [0.0, 0.02])
    model.compile(
        keras.optimizers.Adagrad(schedule, initial_accumulator_value=0.0, epsilon=1e-8 / 100**2)
    )
    x = faces.x_train.astype("float32") / 256
    model.fit(x, batch_size=100, shuffle="replacement", steps_per_epoch=40, verbose=0)
    assert model.samples_evaluated == run.model.samples_evaluated == 4000
    for a, b in zip(run.model.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


def test_lengths_that_end_with_the_same_minibatch_are_stored_each(small, faces):
    asked = [dataclasses.replace(small, samples=n) for n in (3950, 4000, 3901)]
    found = runs.run_all([(experiment, faces) for experiment in asked])
    assert [run.samples for run in found] == [4000] * 3
    assert [run.record["experiment"]["samples"] for run in found] == [3950, 4000, 3901]


def test_a_run_that_is_shorter_than_its_warm_up_ends_where_it_ends(small, faces):
    experiment = dataclasses.replace(small, samples=1000, warm_up=30)
    assert runs.run(experiment, faces).model.samples_evaluated == 1000
    assert store.read_progress(experiment.key)["samples"] == 1000


@pytest.mark.first(1)
@pytest.mark.parametrize("warm_up", [2, 30])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(
    small, faces, checkpointed, monkeypatch, tmp_path, warm_up
):
    """Also between two points of the curve, and while it warms up; its running means too."""
    experiment = dataclasses.replace(small, warm_up=warm_up)
    checkpointed(experiment, faces)
    before = store.read_progress(experiment.key)
    assert before["samples"] == 2000
    assert at(before["curve"]) == at(before["curve"], "running") == [1000]
    stopped = runs.run(experiment, faces)
    model = stopped.model  # loaded while the store is this one
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path))
    undisturbed = runs.run(experiment, faces)
    times = {"training_s": None}
    assert stopped.record | times == undisturbed.record | times
    assert at(undisturbed.record["curve"], "running") == [1000, 3000, 4000]
    assert undisturbed.record["training_s"] > 0
    assert [version.device() in where for where in stopped.record["trained_on"]] == [True]
    np.testing.assert_equal(model.get_weights(), undisturbed.model.get_weights())


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("every", "stored", "seconds"),
    [(20, [3000, 4000], 105), (0, [1000, 3000, 4000, 4000], 165), (1e9, [4000], 75)],
)
def test_checkpoints_are_taken_now_and_then_and_at_the_end_and_the_time_is_counted_once(
    small, faces, monkeypatch, every, stored, seconds
):
    """After any execution of minibatches, the last one too: what comes then may take long.

    The clock goes 15 s each time it is looked at: at the beginning, twice; after each of three
    executions; at the end; and when a checkpoint is begun and done.
    """
    clock = itertools.count(step=15)
    monkeypatch.setattr(training, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", every)
    taken = []
    monkeypatch.setattr(
        store, "checkpoint", lambda key, model, record: taken.append(model.samples_evaluated)
    )
    run = runs.run(dataclasses.replace(small, warm_up=0), faces)
    assert taken == stored
    assert run.record["training_s"] == seconds


def test_the_curve_has_a_row_a_split_at_each_recorded_sample(small, faces, monkeypatch):
    """Train is what the run learns from, test the data's test set, running what it learned."""

    def sizes(model, splits, samples):
        assert samples == model.samples_evaluated
        return {split: {"lower_bound": len(x)} for split, x in splits.items()}

    monkeypatch.setattr(measures, "_lower_bound", sizes)
    experiment = dataclasses.replace(small, n_train=1000, seed=3)
    curve = runs.run(experiment, faces).record["curve"]
    about = {"dataset": "synthetic_faces", "latent_dim": 2, "algorithm": "aevb", "seed": 3}
    found = [(row["split"], row["samples"]) for row in curve]
    assert found == [(s, n) for n in (1000, 3000, 4000) for s in ("train", "test", "running")]
    assert all(row | about == row for row in curve)
    assert {row["lower_bound"] for row in curve if row["split"] == "train"} == {1000}
    assert {row["lower_bound"] for row in curve if row["split"] == "test"} == {400}


def test_a_run_leaves_a_model_at_each_milestone_that_it_passes(small, faces, monkeypatch):
    """As if that had been its end: whose last point no longer curve has, unless it is recorded."""
    monkeypatch.setattr(training, "MILESTONES", (500, 2500, 6000))
    assert runs.run(small, faces).samples == 4000
    names = {path.name for path in (store.runs_folder() / small.key).glob("run-*.json")}
    assert names == {"run-500.json", "run-2500.json", "run-4000.json"}
    for samples, taken in ((500, [500]), (2500, [1000, 2500]), (4000, [1000, 3000, 4000])):
        record = store.read_record(small.key, samples)
        assert at(record["curve"]) == at(record["curve"], "running") == taken
        assert record["experiment"]["samples"] == record["samples"] == samples
        assert store.load_model(small.key, samples).samples_evaluated == samples
    monkeypatch.setattr(runs, "_train", lambda *_: pytest.fail("trained again"))
    assert runs.run(dataclasses.replace(small, samples=2500), faces).samples == 2500
