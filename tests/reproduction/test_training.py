"""One run: what is recorded when, and what its checkpoints hold."""

import dataclasses
import itertools
import types

import numpy as np
import pytest

from vae_keras.reproduction import executor, measures, runs, step_size, store, training

pytestmark = pytest.mark.usefixtures("no_xla")


def test_taking_the_curve_leaves_what_is_reported_and_learned_alone(small, faces, monkeypatch):
    """The bound of the full sets is not mixed into that of the minibatches, which `fit` has."""
    told = []
    monkeypatch.setattr(executor, "report", told.append)
    monkeypatch.setattr(training, "REPORT_EVERY_S", 0)
    monkeypatch.setattr(measures, "grid", lambda measure, samples: [1600, 3200])
    run = runs.run(small, faces)
    model, undisturbed = small.build(faces), []
    model.optimizer.learning_rate.assign(small.step_size)
    for steps in (16, 16, 8):
        history = model.fit(
            faces.x_train, shuffle="replacement", steps_per_epoch=steps, verbose=0
        ).history
        undisturbed += history["elbo"]
    about = {"key": small.key, "of": 4000, "objective": "elbo"}
    assert told == [
        about | {"samples": samples, "nats": nats}
        for samples, nats in zip((1600, 3200, 4000), undisturbed, strict=True)
    ]
    assert [row["samples"] for row in run.record["curve"][::2]] == [1600, 3200, 4000]
    for a, b in zip(run.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_that_was_stopped_goes_on_bit_for_bit(
    small, faces, checkpointed, monkeypatch, tmp_path
):
    """Also between two points of the curve; with the step size that was chosen once."""
    experiment = dataclasses.replace(small, step_size=None)
    checkpointed(experiment, faces)
    before = store.read_progress(experiment.key)
    assert before["samples"] == 2000
    assert [row["samples"] for row in before["curve"]] == [1000, 1000]
    with monkeypatch.context() as patch:
        patch.setattr(step_size, "choose", lambda *_: pytest.fail("chosen again"))
        stopped = runs.run(experiment, faces)
    model = stopped.model  # loaded while the store is this one
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path))
    undisturbed = runs.run(experiment, faces)
    times = {"training_s": None}
    assert stopped.record | times == undisturbed.record | times
    assert undisturbed.record["training_s"] > 0
    for a, b in zip(model.weights, undisturbed.model.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


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
    monkeypatch.setattr(store, "checkpoint", lambda key, model, record: taken.append(model.samples))
    run = runs.run(small, faces)
    assert taken == stored
    assert run.record["training_s"] == seconds


def test_the_curve_has_a_row_a_split_at_each_recorded_sample(small, faces, monkeypatch):
    """Train is what the run learns from, test the data's test set."""

    def sizes(model, splits, samples):
        assert samples == model.samples
        return {split: {"lower_bound": len(x)} for split, x in splits.items()}

    monkeypatch.setattr(measures, "_lower_bound", sizes)
    experiment = dataclasses.replace(small, n_train=1000, seed=3)
    curve = runs.run(experiment, faces).record["curve"]
    about = {"dataset": "synthetic_faces", "latent_dim": 2, "algorithm": "aevb"}
    assert [row["samples"] for row in curve[::2]] == [row["samples"] for row in curve[1::2]]
    assert curve[::2] == [
        about | {"split": "train", "samples": row["samples"], "lower_bound": 1000, "seed": 3}
        for row in curve[1::2]
    ]
    assert {(row["split"], row["lower_bound"]) for row in curve[1::2]} == {("test", 400)}
    assert [row["samples"] for row in curve[::2]] == [1000, 3000, 4000]


def test_a_run_leaves_a_model_at_each_milestone_that_it_passes(small, faces, monkeypatch):
    """As if that had been its end: whose last point no longer curve has, unless it is recorded."""
    monkeypatch.setattr(training, "MILESTONES", (500, 2500, 6000))
    assert runs.run(small, faces).samples == 4000
    names = {path.name for path in (store.runs_folder() / small.key).glob("run-*.json")}
    assert names == {"run-500.json", "run-2500.json", "run-4000.json"}
    for samples, taken in ((500, [500]), (2500, [1000, 2500]), (4000, [1000, 3000, 4000])):
        record = store.read_record(small.key, samples)
        assert [row["samples"] for row in record["curve"][::2]] == taken
        assert record["experiment"]["samples"] == record["samples"] == samples
        assert store.load_model(small.key, samples).samples == samples
