"""What the tests of the reproduction share: small data, a run that was stopped."""

import shutil

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
            if model.samples_evaluated >= experiment.samples / 2:
                raise ZeroDivisionError

        monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 0)
        with monkeypatch.context() as patch:
            patch.setattr(training, "LONGEST", max(1, end // 7))  # a checkpoint after so many
            patch.setattr(store, "checkpoint", stop_half_way)
            with pytest.raises(ZeroDivisionError):
                runs.run(experiment, data)
        return store.runs_folder() / experiment.key / store.CHECKPOINT

    return stop


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """A function that trains a run into the store, and from then on copies it there."""
    kept = tmp_path_factory.mktemp("kept")

    def train(how, experiment, data):
        there, here = kept / how.__name__, store.runs_folder() / experiment.key
        if there.exists():
            shutil.copytree(there, here)
        else:
            how(experiment, data)
            shutil.copytree(here, there)
        return here

    return train


@pytest.fixture
def run(small, faces, once):
    """The run `small`, in the store."""
    once(runs.run, small, faces)
    return runs.run(small, faces)


@pytest.fixture
def checkpoint(small, faces, once, checkpointed):
    """The checkpoint of the run `small`, which was stopped half-way."""
    return once(checkpointed, small, faces) / store.CHECKPOINT
