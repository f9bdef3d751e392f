"""The paper's rule for Adagrad's step size."""

import dataclasses
import types

import numpy as np
import pytest

from vae_keras.callbacks import NonFiniteBoundError
from vae_keras.reproduction import runs, step_size
from vae_keras.reproduction.experiments import Experiment

pytestmark = pytest.mark.usefixtures("no_xla")


def test_the_step_size_is_the_best_after_the_first_few_iterations(faces, monkeypatch):
    """The trial leaves no trace: the run is that of the chosen step size given at once."""
    experiment = Experiment("synthetic_faces", 2, samples=2000, hidden=20)
    run = runs.run(experiment, faces)
    trials = run.record["trials"]
    assert list(trials) == ["0.01", "0.02", "0.1"]
    best = run.record["step_size"]
    assert trials[str(best)] == max(trials.values())
    given = runs.run(dataclasses.replace(experiment, step_size=best), faces)
    assert given.record["curve"] == run.record["curve"]
    assert "trials" not in given.record
    model = experiment.build(faces)  # what a trial is: ten minibatches
    model.optimizer.learning_rate.assign(0.1)
    model.fit(faces.x_train, steps_per_epoch=10, shuffle="replacement", verbose=0)
    assert round(float(model.score(faces.x_train).mean()), 2) == trials["0.1"]
    table = runs.step_sizes([run, given])
    assert list(table.step_size) == [best, best]


def test_a_step_size_that_diverges_is_not_chosen(faces, monkeypatch):
    monkeypatch.setattr(step_size, "STEP_SIZES", (0.01, 1e30))
    run = runs.run(Experiment("synthetic_faces", 2, samples=1000, hidden=5), faces)
    assert run.record["step_size"] == 0.01
    assert run.record["trials"]["1e+30"] is None


class Value:
    """As much of a variable as the rule needs."""

    def __init__(self, value):
        self.value = value

    def numpy(self):
        return self.value

    def assign(self, value):
        self.value = value


class Model:
    """Learns nothing; `scores`: step size -> its score, or the error of the training."""

    def __init__(self, scores):
        self.scores, self.fitted, self.scored = scores, [], []
        self.weight, self.moment, rate = Value(1.0), Value(2.0), Value(0.5)
        self.variables = [self.weight]
        self.optimizer = types.SimpleNamespace(variables=[self.moment, rate], learning_rate=rate)

    def fit(self, x, batch_size, shuffle, steps_per_epoch, verbose):
        assert (self.weight.value, self.moment.value) == (1.0, 2.0)  # each begins where all do
        self.weight.value, self.moment.value = 5.0, 6.0
        rate = self.optimizer.learning_rate.value
        self.fitted.append((rate, batch_size, steps_per_epoch, shuffle))
        if isinstance(self.scores[rate], Exception):
            raise self.scores[rate]

    def score(self, x):
        self.scored.append(len(x))
        return np.array(self.scores[self.optimizer.learning_rate.value])


LOST = NonFiniteBoundError("lost")


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({0.01: -3, 0.02: -1, 0.1: -2}, 0.02),
        ({0.01: -3, 0.02: -2, 0.1: 7}, 0.1),
        ({0.01: -3, 0.02: LOST, 0.1: np.nan}, 0.01),
        ({0.01: np.inf, 0.02: -1e9, 0.1: LOST}, 0.02),
        ({0.01: LOST, 0.02: LOST, 0.1: LOST}, 0.01),
    ],
)
def test_the_best_of_the_papers_three_is_chosen_after_ten_minibatches(small, scores, best):
    model = Model(scores)
    experiment = dataclasses.replace(small, step_size=None, batch_size=50, order="passes")
    found = step_size.choose(experiment, model, np.zeros((20_000, 1)))
    assert found["step_size"] == model.optimizer.learning_rate.value == best
    assert model.fitted == [(rate, 50, 10, "passes") for rate in (0.01, 0.02, 0.1)]
    assert set(model.scored) <= {10_000}
    assert (model.weight.value, model.moment.value) == (1.0, 2.0)
    finite = {str(s): v if isinstance(v, int | float) and np.isfinite(v) else None
              for s, v in scores.items()}  # fmt: skip
    assert found["trials"] == finite
    few = Model(scores)
    step_size.choose(dataclasses.replace(experiment, order="replacement"), few, np.zeros((120, 1)))
    assert few.fitted == [(rate, 50, 10, "replacement") for rate in (0.01, 0.02, 0.1)]
    assert set(few.scored) <= {120}


def test_a_step_size_that_is_given_goes_before_the_rule(small):
    model = Model({})
    assert step_size.choose(small, model, None) == {"step_size": 0.02}
    assert model.fitted == []
