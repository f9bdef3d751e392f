"""Kills processes that train, at a moment that is asked for: a `sitecustomize` for them."""

import os

SITECUSTOMIZE = '''
import os, pathlib, signal, sys

MOMENT, TIMES, MARKS = os.environ["SABOTEUR"].split(",")
MARKS = pathlib.Path(MARKS)


def strike(key):
    """Kill this process, unless it was done often enough for this run."""
    done = len(list(MARKS.glob(f"{key}-*")))
    if key.startswith("aevb") and done < int(TIMES):
        (MARKS / f"{key}-{done}").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def prepare(training):
    training.CHECKPOINT_EVERY_S = 0.2
    if MOMENT == "training":
        follow = training._Follow.on_train_batch_end

        def end(self, batch, logs=None):
            if self.model.samples > 2000:  # the last checkpoint is older
                strike(self.training.experiment.key)
            follow(self, batch, logs)

        training._Follow.on_train_batch_end = end
    if MOMENT == "checkpoint":
        write = pathlib.Path.write_bytes

        def half(path, content):
            if "checkpoint" in path.name and len(content) > 1000:
                write(path, content[: len(content) // 2])
                strike(path.parent.name)
            return write(path, content)

        pathlib.Path.write_bytes = half
    if MOMENT == "result":
        train = training.train

        def trained(experiment, data, targets):
            train(experiment, data, targets)
            strike(experiment.key)

        training.train = trained


class Finder:
    """Prepares the modules as soon as the last of them is imported."""

    def find_spec(self, name, *_):
        if name == "vae_keras.reproduction.progress":
            sys.meta_path.remove(self)
            from vae_keras.reproduction import training
            prepare(training)


sys.meta_path.insert(0, Finder())
'''


def environment(folder, moment, times):
    """The variables with which a process kills itself at `moment`, `times` times a run of AEVB.

    "training": after 2,000 samples; "checkpoint": half-way through the writing of one; "result":
    when all is stored, and only the answer is missing.
    """
    (folder / "site").mkdir()
    (folder / "marks").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    before = os.environ.get("PYTHONPATH")
    path = str(folder / "site") + (os.pathsep + before if before else "")
    return {"PYTHONPATH": path, "SABOTEUR": f"{moment},{times},{folder / 'marks'}"}
