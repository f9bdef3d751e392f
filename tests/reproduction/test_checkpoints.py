"""All of a run's state in one file: killed at any moment it goes on to the same numbers."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from vae_keras.reproduction import store

KILLED = """
import os, random, signal, sys, threading
from pathlib import Path
from vae_keras import datasets
from vae_keras.reproduction import experiments, runs, training
training.CHECKPOINT_EVERY_S = 0
training.LONGEST = 20  # minibatches between two checkpoints

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def kill_at_random(seed):
    moment, fit = random.Random(seed), training._Training.go

    def go(self, targets):
        if seed % 2:
            threading.Timer(moment.uniform(0, 5), die).start()
            return fit(self, targets)
        write, after = Path.write_bytes, moment.randrange(1, 9)

        def half(path, content):  # and every other time while a checkpoint is written
            nonlocal after
            after -= 1
            write(path, content if after else content[: len(content) // 2])
            if not after:
                die()

        Path.write_bytes = half
        fit(self, targets)

    training._Training.go = go

def train(csv):
    experiment = experiments.Experiment(
        "synthetic_faces", 2, 20_000, "wake_sleep", hidden=5, batch_size=100, warm_up=30
    )
    run = runs.run(experiment, datasets.load("synthetic_faces"))
    runs.table([run]).to_csv(csv, index=False)

for seed in map(int, sys.argv[2:]):
    child = os.fork()  # before TensorFlow starts its threads: importing it takes the most time
    if not child:
        if seed >= 0:
            kill_at_random(seed)
        train(sys.argv[1])
        os._exit(0)
    print(seed, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.long
@pytest.mark.usefixtures("xla")
def test_a_run_killed_at_random_moments_ends_with_the_same_csv(tmp_path):
    def start(results, *seeds):
        """Train in one process after the other; seed -1 is not killed. Returns the statuses."""
        command = [sys.executable, "-c", KILLED, tmp_path / f"{results}.csv", *map(str, seeds)]
        environment = os.environ | {"VAE_KERAS_RESULTS": str(tmp_path / results)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [int(line.split()[1]) for line in done.stdout.splitlines()]

    assert start("undisturbed", -1) == [0]
    statuses = start("killed", *range(2))
    assert set(statuses) <= {-signal.SIGKILL, 0}
    assert statuses.count(-signal.SIGKILL) >= 2
    with np.load(next((tmp_path / "killed").rglob("checkpoint.npz"))) as saved:
        rows = json.loads(str(saved["record"]))["curve"]
    assert rows  # the two had come some way, the one from where the other ended
    assert start("killed", -1) == [0]
    undisturbed, killed = (tmp_path / f"{name}.csv" for name in ("undisturbed", "killed"))
    assert killed.read_bytes() == undisturbed.read_bytes()
    assert not list((tmp_path / "killed").rglob("*.part*"))


def test_a_model_goes_on_from_its_checkpoint_as_if_nothing_had_been(small, faces):
    """Weights, what the optimiser has summed up, its step size, the counters, the running means."""
    record = {"samples": 1600, "curve": [{"samples": 1600}], "ü": None}
    model = small.build(faces)
    model.optimizer.learning_rate.assign(0.1)
    model.fit(faces.x_train, verbose=0)
    store.checkpoint("key", model, record)
    assert [path.name for path in (store.runs_folder() / "key").iterdir()] == [store.CHECKPOINT]
    assert store.read_progress("key") == record
    assert store.records()["key"] == record | {"state": "stopped"}
    other = small.build(faces)
    assert store.restore("key", other) == record
    assert (other.samples_evaluated, other.examples_seen) == (1600, 1600)
    for a, b in zip(model.metrics_variables, other.metrics_variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    assert {float(metric.count) for metric in other.metrics} == {1600}
    for goes_on in (False, True):
        if goes_on:
            for one in (model, other):
                one.fit(faces.x_train, epochs=2, initial_epoch=1, verbose=0)
        ours, theirs = ([*m.variables, *m.optimizer.variables] for m in (model, other))
        assert len(ours) > 2 * len(model.trainable_variables)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
