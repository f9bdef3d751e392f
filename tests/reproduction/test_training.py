"""One run: what is recorded when, and what its checkpoints hold."""

import dataclasses
import itertools
import types

import numpy as np
import pytest

from vae_keras.reproduction import measures, runs, step_size, store, training
from vae_keras.reproduction.experiments import Experiment

pytestmark = pytest.mark.usefixtures("no_xla")


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
        runs.run(experiment, faces)
    assert seen[0] == history[0]
    assert seen[1] == pytest.approx(history[1], rel=0.1)  # the recorded bounds drew noise


def test_a_run_that_was_stopped_goes_on_bit_for_bit(
    small, faces, checkpointed, monkeypatch, tmp_path
):
    """With the step size that was chosen once, and no point of the curve twice."""
    experiment = dataclasses.replace(small, step_size=None)
    checkpointed(experiment, faces)
    before = store.read_progress(experiment.key)
    assert 0 < len(before["curve"]) < 2 * len(experiment.recorded_at)
    with monkeypatch.context() as patch:
        patch.setattr(step_size, "choose", lambda *_: pytest.fail("chosen again"))
        stopped = runs.run(experiment, faces)
    model = stopped.model  # loaded while the store is this one
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path))
    undisturbed = runs.run(experiment, faces)
    times = {"training_s": None}
    assert stopped.record | times == undisturbed.record | times
    for a, b in zip(model.weights, undisturbed.model.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(
    ("every", "stored", "seconds"), [(20, [3200], 75), (0, [1600, 3200], 75), (1e9, [], 45)]
)
def test_checkpoints_are_taken_after_whole_epochs_and_the_time_is_counted_once(
    small, faces, monkeypatch, every, stored, seconds
):
    """Not after the last, unfinished one, where the store gets the run itself.

    The clock goes 15 s each time it is looked at: at the beginning, after an epoch, at the end, and
    when a checkpoint is begun and done.
    """
    clock = itertools.count(step=15)
    monkeypatch.setattr(training, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", every)
    taken = []
    monkeypatch.setattr(store, "checkpoint", lambda key, model, record: taken.append(model.samples))
    run = runs.run(small, faces)
    assert taken == stored
    assert run.record["training_s"] == seconds + 30 * (len(stored) == 2)


def test_the_curve_has_a_row_a_split_at_each_recorded_sample(small, faces, monkeypatch):
    """Train is what the run learns from, test the data's test set."""

    def sizes(model, splits, experiment):
        return {split: {"lower_bound": len(x)} for split, x in splits.items()}

    columns = measures.MEASURES["lower_bound"][1]
    monkeypatch.setitem(measures.MEASURES, "lower_bound", (sizes, columns))
    experiment = dataclasses.replace(small, n_train=1000, seed=3)
    curve = runs.run(experiment, faces).record["curve"]
    about = {"dataset": "synthetic_faces", "latent_dim": 2, "algorithm": "aevb"}
    assert [row["samples"] for row in curve[::2]] == [row["samples"] for row in curve[1::2]]
    assert curve[::2] == [
        about | {"split": "train", "samples": row["samples"], "lower_bound": 1000, "seed": 3}
        for row in curve[1::2]
    ]
    assert {(row["split"], row["lower_bound"]) for row in curve[1::2]} == {("test", 400)}
    assert curve[-1]["samples"] == 4000
    assert len(curve) == 2 * len(experiment.recorded_at)
