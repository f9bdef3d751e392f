"""What the tests of the reproduction share: small data, a run that was stopped."""

import pytest

from vae_keras import datasets
from vae_keras.reproduction import runs, store, training
from vae_keras.reproduction.experiments import Experiment


@pytest.fixture(scope="session")
def faces():
    return datasets.load("synthetic_faces")


@pytest.fixture
def small():
    """A run of 40 minibatches, measured on the way at 1,000 and 3,000 samples."""
    return Experiment(
        "synthetic_faces", 2, samples=4000, hidden=5, step_size=0.02, batch_size=100, warm_up=2
    )


@pytest.fixture
def checkpointed(monkeypatch):
    """A function that stops a run half-way with a checkpoint behind; returns its file."""

    def stop(experiment, data):
        write, end = store.checkpoint, experiment.minibatches(experiment.samples)

        def stop_half_way(key, model, record):
            write(key, model, record)
            if model.samples >= experiment.samples / 2:
                raise ZeroDivisionError

        monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 0)
        with monkeypatch.context() as patch:
            patch.setattr(training, "LONGEST", max(1, end // 7))  # a checkpoint after so many
            patch.setattr(store, "checkpoint", stop_half_way)
            with pytest.raises(ZeroDivisionError):
                runs.run(experiment, data)
        return store.runs_folder() / experiment.key / store.CHECKPOINT

    return stop
