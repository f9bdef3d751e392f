"""The training of one experiment: the step size by the paper's rule, the curve, the checkpoints."""

import dataclasses
import math
import time

import keras
import numpy as np

from vae_keras import likelihood, store, version
from vae_keras.callbacks import NonFiniteBoundError, Progress, StopAtSamples
from vae_keras.datasets import Dataset

RECIPE = 4  # part of every key: raise it when a change to the kit changes the numbers
STEP_SIZES = (0.01, 0.02, 0.1)  # of which the paper chooses
FIRST_FEW = 10  # iterations, after which the step sizes are compared
# Samples of a run -> the first points of each split on which its measure is taken, which is to cost
# little beside the training: the bounds of the whole sets take as long as 40,000 samples of it.
BOUNDED = {0: 10_000, 10**7: None}
ESTIMATED = {0: 100, 10**5: 300, 10**7: 1000}
CHECKPOINT_EVERY_S = 20


def train(experiment, data: Dataset, title: str) -> None:
    """Train an `experiments.Experiment` from its checkpoint, or its beginning, into the store."""
    model, x = experiment.build(data), experiment.training_set(data)
    record = store.restore(experiment.key, model)
    if record is None:
        record = {
            "experiment": dataclasses.asdict(experiment),
            "recipe": RECIPE,
            "data_sha256": data.sha256,
            "made_by": [version.this()],
            "training_s": 0.0,
            "curve": [],
        }
        record |= _choose_step_size(experiment, model, x)
    elif (makers := version.makers(record))[-1].get("sources") != version.SOURCES:
        record["made_by"] = [*makers, version.this()]  # which goes on from what the others made
    model.fit(
        x,
        batch_size=experiment.batch_size,
        epochs=-(-experiment.visits(model) // len(x)),
        initial_epoch=model.visits // len(x),
        verbose=0,
        callbacks=[
            StopAtSamples(experiment.samples),
            _Recorder(experiment, {"train": x, "test": data.x_test}, record),
            Progress(experiment.samples, title),
        ],
    )
    store.finish(experiment.key, model, record)


def _choose_step_size(experiment, model, x) -> dict:
    """The paper's rule, with its evidence; `model` is left as it was, but with that step size."""
    if experiment.step_size is not None:
        return {"step_size": experiment.step_size}
    variables = [*model.variables, *model.optimizer.variables]
    before = [variable.numpy() for variable in variables]
    trials = {}
    for step_size in STEP_SIZES:
        model.optimizer.learning_rate.assign(step_size)
        try:
            model.fit(
                x,
                batch_size=experiment.batch_size,
                steps_per_epoch=min(FIRST_FEW, -(-len(x) // experiment.batch_size)),
                verbose=0,
            )
            score = float(model.score(x[:10_000]).mean())
        except NonFiniteBoundError:
            score = -math.inf
        trials[str(step_size)] = round(score, 2) if math.isfinite(score) else None
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    best = max(STEP_SIZES, key=lambda s: -math.inf if (b := trials[str(s)]) is None else b)
    model.optimizer.learning_rate.assign(best)
    return {"step_size": best, "trials": trials}


class _Recorder(keras.callbacks.Callback):
    """Takes the measure at the samples of `recorded_at`; a checkpoint at the end of some epochs."""

    def __init__(self, experiment, splits: dict[str, np.ndarray], record: dict):
        super().__init__()
        self.experiment, self.splits, self.record = experiment, splits, record

    def on_train_begin(self, logs=None):
        self._stored_at = self._began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        samples, curve = self.model.samples, self.record["curve"]
        last = curve[-1]["samples"] if curve else 0
        if not any(last < point <= samples for point in self.experiment.recorded_at):
            return
        measure, columns = MEASURES[self.experiment.measure]
        about = {name: getattr(self.experiment, name) for name in columns}
        for split, values in measure(self.model, self.splits, self.experiment).items():
            row = about | {"split": split, "samples": samples} | values
            curve.append(row | {"seed": self.experiment.seed})

    def on_epoch_end(self, epoch, logs=None):
        # Only after whole epochs: what follows then follows from the model's counters alone.
        if self.model.stop_training:
            return
        if time.perf_counter() - self._stored_at > CHECKPOINT_EVERY_S:
            self._count_time()
            store.checkpoint(self.experiment.key, self.model, self.record)
            self._stored_at = time.perf_counter()

    def on_train_end(self, logs=None):
        self._count_time()

    def _count_time(self):
        now = time.perf_counter()
        self.record["training_s"] = round(self.record["training_s"] + now - self._began, 1)
        self._began = now


def _points(table, experiment):
    return table[max(least for least in table if least <= experiment.samples)]


def _lower_bound(model, splits, experiment):
    """The bound of the first points of each split, estimated with one sample a datapoint."""
    points = _points(BOUNDED, experiment)
    bounds = {split: float(model.elbo(x[:points]).mean()) for split, x in splits.items()}
    return {split: {"lower_bound": round(bound, 2)} for split, bound in bounds.items()}


def _log_likelihood(model, splits, experiment):
    """Appendix D on the first points of each split, all in one go."""
    firsts = [x[: _points(ESTIMATED, experiment)] for x in splits.values()]
    found = likelihood.appendix_d(model, np.concatenate(firsts))
    parts = [np.split(values, [len(firsts[0])]) for values in found]
    return {
        split: {
            "marginal_log_likelihood": round(float(nats.mean()), 2),
            "error": round(float(np.sqrt(np.sum(error**2)) / len(error)), 3),
            "acceptance": round(float(acceptance.mean()), 3),
        }
        for split, nats, error, acceptance in zip(splits, *parts, strict=True)
    }


MEASURES = {  # name -> what takes it, and the columns of the experiment that its figure needs
    "lower_bound": (_lower_bound, ("dataset", "latent_dim", "algorithm")),
    "marginal_log_likelihood": (_log_likelihood, ("dataset", "n_train", "latent_dim", "algorithm")),
}
