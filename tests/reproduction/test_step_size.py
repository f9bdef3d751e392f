"""The paper's rule for Adagrad's step size."""

import dataclasses

import pytest

from vae_keras.reproduction import experiments, step_size
from vae_keras.reproduction.experiments import Experiment


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
