"""Ends training at a moment that is asked for: in this process, or by killing others at it."""

import os
import pathlib
import signal
import sys
import zipfile

MOMENTS = ("training", "checkpoint", "result")


def prepare(moment, strike, patch=setattr, checkpoint_every_s=0.2):
    """Call ``strike(key of a run)`` at `moment` of each training.

    "training": after 2,000 samples; "checkpoint": half-way through the writing of one; "result":
    when all is stored, and only the answer is missing.
    """
    from vae_keras.reproduction import training

    patch(training, "CHECKPOINT_EVERY_S", checkpoint_every_s)
    if moment == "training":
        follow = training._Follow.on_train_batch_end

        def end(self, batch, logs=None):
            if self.model.samples_evaluated > 2000:  # the last checkpoint is older
                strike(self.training.experiment.key)
            follow(self, batch, logs)

        patch(training._Follow, "on_train_batch_end", end)
    if moment == "checkpoint":
        write = pathlib.Path.write_bytes

        def half(path, content):
            if "checkpoint" in path.name and len(content) > 1000:
                write(path, content[: len(content) // 2])
                strike(path.parent.name)
            return write(path, content)

        patch(pathlib.Path, "write_bytes", half)
    if moment == "result":
        train = training.train

        def trained(experiment, data, targets):
            train(experiment, data, targets)
            strike(experiment.key)

        patch(training, "train", trained)


class Saved:
    """Stands in for a trained model; `killed`: half-way through being saved."""

    def __init__(self, killed=False):
        self.killed = killed

    def save(self, file):
        with zipfile.ZipFile(file, "w") as archive:  # as Keras's files are
            archive.writestr("config.json", "{}")
        if self.killed:
            file.write_bytes(file.read_bytes()[:20])
            raise KeyboardInterrupt


class Finder:
    """Prepares the modules of a process that trains as soon as the last of them is imported."""

    def find_spec(self, name, *_):
        if name == "vae_keras.reproduction.progress":
            sys.meta_path.remove(self)
            moment, times, marks = os.environ["SABOTEUR"].split(",")
            prepare(moment, lambda key: _kill(key, int(times), pathlib.Path(marks)))


def _kill(key, times, marks):
    """Kill this process, unless it was done often enough for this run."""
    done = len(list(marks.glob(f"{key}-*")))
    if key.startswith("aevb") and done < times:
        (marks / f"{key}-{done}").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def environment(folder, moment, times):
    """The variables with which a process kills itself at `moment`, `times` times a run of AEVB."""
    (folder / "site").mkdir()
    (folder / "marks").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(
        "import sys\nfrom oracles import saboteur\nsys.meta_path.insert(0, saboteur.Finder())\n"
    )
    tests = pathlib.Path(__file__).parents[1]
    path = os.pathsep.join([str(folder / "site"), str(tests), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": path, "SABOTEUR": f"{moment},{times},{folder / 'marks'}"}
