"""What the tests of the reproduction share: small data, a run that was stopped, no XLA."""

import functools

import pytest

from vae_keras import datasets
from vae_keras.models.trainer import Trainer
from vae_keras.reproduction import runs, store, training
from vae_keras.reproduction.experiments import Experiment


@pytest.fixture(scope="session")
def faces():
    return datasets.load("synthetic_faces")


@pytest.fixture
def small():
    """A run of some epochs, with checkpoints on the way where they are wanted."""
    return Experiment("synthetic_faces", 2, samples=4000, hidden=5, step_size=0.02)


@pytest.fixture
def no_xla(monkeypatch):
    """Compiling takes most of the time of a small run."""
    compile = functools.partialmethod(Trainer.compile, jit_compile=False)
    monkeypatch.setattr(Trainer, "compile", compile)


@pytest.fixture
def checkpointed(monkeypatch):
    """A function that stops a run half-way with a checkpoint behind; returns its file."""

    def stop(experiment, data):
        monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 0)
        with monkeypatch.context() as patch:
            patch.setattr(store, "finish", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                runs.run(experiment, data)
        return store.runs_folder() / experiment.key / store.CHECKPOINT

    return stop
