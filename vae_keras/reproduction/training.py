"""The training of one experiment: the step size by the paper's rule, the curve, the checkpoints."""

import dataclasses
import time
from typing import Any

import keras
import numpy as np

from vae_keras.callbacks import Progress, StopAtSamples
from vae_keras.datasets import Dataset
from vae_keras.reproduction import measures, step_size, store, version

RECIPE = 4  # part of every key: raise it when a change to the kit changes the numbers
CHECKPOINT_EVERY_S = 20


def train(experiment: Any, data: Dataset, title: str) -> None:
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
        record |= step_size.choose(experiment, model, x)
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


class _Recorder(keras.callbacks.Callback):
    """Takes the measure at the samples of `recorded_at`; a checkpoint at the end of some epochs."""

    def __init__(self, experiment: Any, splits: dict[str, np.ndarray], record: dict):
        super().__init__()
        self.experiment, self.splits, self.record = experiment, splits, record

    def on_train_begin(self, logs=None):
        self._stored_at = self._began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        samples, curve = self.model.samples, self.record["curve"]
        last = curve[-1]["samples"] if curve else 0
        if not any(last < point <= samples for point in self.experiment.recorded_at):
            return
        measure, columns = measures.MEASURES[self.experiment.measure]
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
