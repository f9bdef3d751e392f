"""The training of one run, from its checkpoint in the store to its target."""

import dataclasses
import os
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_keras.callbacks import OBJECTIVES
from vae_keras.datasets import Dataset
from vae_keras.reproduction import executor, measures, store, version
from vae_keras.reproduction.experiments import RECIPE, Experiment

MILESTONES = (10**6, 10**7, 10**8)  # of the presets: a run stores a model when it passes one
CHECKPOINT_EVERY_S = 20
REPORT_EVERY_S = 0.5
LONGEST = 10_000  # minibatches in one call of `fit`


def train(experiment: Experiment, data: Dataset, targets: set[int]) -> None:
    """Train a run until the store has it at each of `targets`, in training samples.

    Training continues from the checkpoint. A target before the checkpoint is reached by training
    again from the beginning, with the same numbers. The caller must hold `store.claim` of the run.
    """
    key = experiment.key
    so_far = store.samples(key)
    targets = {n for n in targets if not store.is_finished(key, n)}
    behind = {n for n in targets if experiment.reached(n) < so_far}
    if behind:
        _Training(experiment, data, again=True).go(behind)
    if ahead := targets - behind:
        passed = {n for n in MILESTONES if so_far < n <= max(ahead)}
        _Training(experiment, data).go(ahead | passed)


def _device():
    """The device that trains here; for a CPU with its number of threads."""
    if tf.config.list_physical_devices("GPU"):
        return version.device()
    n = tf.config.threading.get_intra_op_parallelism_threads()
    n = n or int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)) or os.cpu_count()
    return f"{n} thread{'s' * (n > 1)} of {version.device()}"


class _Training:
    """A run in progress: its model and record. `again`: start from the beginning, not the store.

    The record's curve holds the points that every longer run shares. The extra last point of a
    target is only in the record of that target.
    """

    def __init__(self, experiment: Experiment, data: Dataset, again: bool = False):
        self.experiment, self.again = experiment, again
        self.model = experiment.build(data)
        # Converted once, not in each call of `fit`; on a CPU this copies no data.
        self.x = tf.convert_to_tensor(experiment.pixels(experiment.training_set(data)))
        self.splits = {
            "train": np.asarray(memoryview(self.x)),
            "test": experiment.pixels(data.x_test),
        }
        record = None if again else store.restore(experiment.key, self.model)
        if record is None:
            record = {
                "experiment": dataclasses.asdict(experiment),
                "recipe": RECIPE,
                "data_sha256": data.sha256,
                "made_by": [version.this()],
                "trained_on": [],
                "training_s": 0.0,
                "samples": 0,
                "curve": [],
            }
        elif record["made_by"][-1]["sources"] != version.SOURCES:
            record["made_by"].append(version.this())  # it continues a run of another version
        if (device := _device()) not in record.setdefault("trained_on", []):
            record["trained_on"].append(device)
        self.record: dict[str, Any] = record
        self._since = time.perf_counter()

    def go(self, targets: set[int]) -> None:
        """Train to the last of `targets`, and store the run at each of them."""
        experiment, last = self.experiment, max(targets)
        recorded = {experiment.minibatches(n) for n in measures.grid(experiment, last)}
        begins = {experiment.minibatches(n) for n in measures.running_mean_starts(experiment, last)}
        ends: dict[int, list[int]] = {}
        for n in sorted(targets):  # several may end with the same minibatch
            ends.setdefault(experiment.minibatches(n), []).append(n)
        follow = _Follow(self, last)
        rate = keras.callbacks.LearningRateScheduler(self._step_size)
        warm = min(experiment.warm_minibatches, experiment.minibatches(last))
        for stop in sorted(recorded | begins | set(ends) | {warm}):
            if stop < self._minibatches():
                continue
            while (steps := stop - self._minibatches()) > 0:
                follow.keep()
                self.model.fit(
                    self.x,
                    batch_size=experiment.batch_size,
                    shuffle=experiment.order,
                    steps_per_epoch=min(steps, LONGEST),
                    callbacks=[rate, follow],
                    verbose=0,
                )
            curve = self.record["curve"]
            measured = curve and curve[-1]["samples"] == self.model.samples_evaluated
            if stop in recorded | set(ends) and not measured:
                rows = measures.measure(experiment, self.model, self.splits, follow.running())
                curve = curve + rows
                if stop in recorded:
                    self.record["curve"] = curve
            if stop in begins:
                self.model.reset_metrics()
            if stop in ends:
                self._count_time()
                # The file must not depend on earlier measurements.
                self.model.set_evaluation_noise(0)
                for n in ends[stop]:
                    settings = dataclasses.asdict(experiment) | {"samples": n}
                    record = self.record | {"experiment": settings, "curve": curve}
                    store.finish(experiment.key, n, self.model, record)
        self.checkpoint()

    def _step_size(self, epoch, rate):
        """Adagrad's step size: 0 in the warm-up, which only sums squares."""
        warm = self._minibatches() >= self.experiment.warm_minibatches
        return self.experiment.step_size if warm else 0.0

    def _minibatches(self):
        return self.model.examples_seen // self.experiment.batch_size

    def checkpoint(self) -> None:
        """Store a checkpoint, unless this training began again from the beginning."""
        self._count_time()
        if not self.again:
            store.checkpoint(self.experiment.key, self.model, self.record)

    def _count_time(self):
        now = time.perf_counter()
        self.record["training_s"] = round(self.record["training_s"] + now - self._since, 1)
        self.record["samples"], self._since = self.model.samples_evaluated, now


class _Follow(keras.callbacks.Callback):
    """Report progress, store checkpoints regularly, and keep the running means.

    Keras resets its metrics in each call of `fit`. Here they continue until the next point of the
    paper, over any number of calls.
    """

    def __init__(self, training: _Training, last: int):
        super().__init__()
        self.training, self.last = training, training.experiment.reached(last)
        self._stored_at = self._told_at = time.perf_counter()

    def running(self) -> float | None:
        """The mean bound of the minibatches since the metrics were reset; None without any."""
        for metric in self.training.model.metrics:
            if metric.name == "elbo" and float(metric.count) > 0:
                return float(metric.result())
        return None

    def keep(self) -> None:
        """Save the metrics, which the next call of `fit` restores."""
        self._kept = [v.numpy() for v in self.training.model.metrics_variables]

    def on_epoch_begin(self, epoch, logs=None):
        for variable, value in zip(self.model.metrics_variables, self._kept, strict=True):
            variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if now - self._told_at > REPORT_EVERY_S:
            self._told_at = now
            name = next(name for name in OBJECTIVES if name in logs)
            executor.report(
                {
                    "key": self.training.experiment.key,
                    "samples": self.model.samples_evaluated,
                    "of": self.last,
                    "objective": name,
                    "nats": float(logs[name]),
                }
            )
        if now - self._stored_at > CHECKPOINT_EVERY_S:
            self.training.checkpoint()
            self._stored_at = time.perf_counter()
