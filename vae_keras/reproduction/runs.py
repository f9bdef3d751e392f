"""Runs of experiments: what is not in the store is trained, a task each, by one executor."""

import contextlib
import dataclasses
import functools
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tensorflow as tf

from vae_keras import _files, datasets, pretrained
from vae_keras.datasets import Dataset
from vae_keras.models import LatentVariableModel
from vae_keras.reproduction import (
    executor,
    figure_curves,
    paths,
    records,
    store,
    training,
    version,
)
from vae_keras.reproduction.experiments import MEASURES, Experiment
from vae_keras.reproduction.progress import Board

DEATHS = 3  # of processes that trained a run, after which it is given up
LOOK_AGAIN_S = 1


@dataclass(frozen=True)
class Run:
    """A stored run: the record of it, the data it learned from, and the trained model.

    `record`: `experiment`, the settings; `data_sha256`, a hash of the data's pixels; `made_by`, the
    versions of the kit that trained it, more than one where it went on with another; `trained_on`,
    the devices; `training_s`, the seconds; and `curve`, a list of rows: figure 2's columns
    (dataset, latent_dim, algorithm, split, samples, lower_bound, seed), or figure 3's, with
    n_train, and marginal_log_likelihood, its Monte Carlo error and HMC's acceptance in place of the
    bound.
    """

    experiment: Experiment
    data: Dataset
    record: dict

    @functools.cached_property
    def model(self) -> LatentVariableModel:
        """The trained model, loaded when it is first asked for; `shipped_as` names one of no store.

        Of a run that has not come to its end, it is that of the checkpoint: StoreError where that
        has gone on since.
        """
        if self.shipped_as:
            return pretrained.load(self.shipped_as)
        key = self.experiment.key
        if store.has_model(key, self.experiment.samples):
            model = store.load_model(key, self.experiment.samples)
            try:
                records.check_model(model, self.experiment, self.samples)
            except ValueError as error:
                raise store.bad(
                    store.model_file(key, self.experiment.samples), str(error), key
                ) from error
            return model
        model = self.experiment.build(self.data)
        found = store.restore(key, model)
        if found is None:
            raise store.StoreError(
                f"{store.runs_folder()} has no model of {key}, but its curve: train it, without "
                "VAE_KERAS_NO_TRAINING"
            )
        if found["samples"] != self.samples:
            raise store.StoreError(
                f"{key} has gone on since its curve was read, at {self.samples:,} samples: draw "
                "from its model while no process trains it"
            )
        model.set_evaluation_noise(0)
        return model

    @property
    def has_model(self) -> bool:
        """Whether there is one: of a run that only a figure shows there may be but the curve."""
        key = self.experiment.key
        stored = store.has_model(key, self.experiment.samples) or store.samples(key) == self.samples
        return stored or self.shipped_as is not None

    @functools.cached_property
    def shipped_as(self) -> str | None:
        """The name of the model of this very run that ships with the package, of none in store."""
        key = self.experiment.key
        if store.has_model(key, self.experiment.samples) or store.samples(key):
            return None
        return _shipped_name(self.experiment, self.data)

    @property
    def learned_from(self) -> str:
        """What the data set that it learned from is called; `data` may stand in for it."""
        return self.record.get("data", self.data.title)

    @property
    def samples(self) -> int:
        """Training samples evaluated."""
        return self.record["samples"]


def run(experiment: Experiment, data: Dataset) -> Run:
    """The stored run of one experiment; see `run_all`."""
    return run_all([(experiment, data)])[0]


def shipped(name: str, allow_embedded: bool = True) -> Run:
    """A model that ships with the package, `vae_keras.pretrained`, as if it were a stored run.

    Its record has no curve but for what the test set is worth at the end. The data are those that
    it learned from, or where they are not found, and if `allow_embedded`, what stands in for them.
    Raises ValueError for an unknown name, DataError where there are no data.
    """
    told = pretrained.about(name)
    experiment = Experiment(**told["experiment"])
    about = {key: getattr(experiment, key) for key in MEASURES[experiment.measure]}
    row = about | {"split": "test", "samples": told["samples"], "seed": experiment.seed}
    row[experiment.measure] = told[experiment.measure]
    data = datasets.load(experiment.dataset, allow_embedded)
    run = Run(experiment, data, told | {"curve": [row]})
    run.__dict__["shipped_as"] = name  # whatever the store has
    return run


def _shipped_name(experiment: Experiment, data: Dataset) -> str | None:
    for name in pretrained.names():
        about = pretrained.about(name)
        if about["data_sha256"] == data.sha256 and Experiment(**about["experiment"]) == experiment:
            return name
    return None


def run_all(
    chosen: Iterable[tuple[Experiment, Dataset]],
    models: bool = True,
    in_turn: bool = False,
    execution: executor.Execution | None = None,
) -> list[Run]:
    """Train what is not in the store, or not far enough, and return all runs, in order.

    What was `chosen` more than once comes once. The longest run begins first, or, `in_turn`, the
    one that was chosen first. What another process trains is left to it and waited for. Says which
    of the runs other versions made. `execution`: by default as the environment has it. One that
    does not train returns the runs as far as they have come, those alone that have been measured at
    all; where no `models` are needed but curves alone, or where the model ships with the package,
    also as far as the figures in ``figures/`` show them.

    Raises, before any training, ValueError for an experiment that does not fit its data, or for
    none, ClusterError where no scheduler answers, and StoreError for a run that learned from other
    data of the same name. A run that fails does not hold up the others: when all have come to their
    end, the error of the first is raised, WorkerDied for one that killed its process three times.
    """
    chosen = list({experiment: (experiment, data) for experiment, data in chosen}.values())
    if not chosen:
        raise ValueError(
            "there is no experiment to run: each list of sizes, seeds or algorithms needs a value"
        )
    execution = execution or executor.Execution.from_environment()
    check(chosen, mend=execution.train)
    if not execution.train:
        runs = _as_they_are(chosen, models)
    else:
        if tasks := _missing(chosen, in_turn):
            _train(tasks, execution)
        runs = [Run(e, data, _finished(e, data)) for e, data in chosen]
    _tell_of_others(runs)
    return runs


def _as_they_are(chosen: list[tuple[Experiment, Dataset]], models: bool) -> list[Run]:
    runs, missing, shown = [], [], 0
    for experiment, data in chosen:
        key, end = experiment.key, experiment.reached(experiment.samples)
        record = store.read_record(key, experiment.samples) or store.read_progress(key) or {}
        curve_alone = not models or (not record and _shipped_name(experiment, data))
        if curve_alone and record.get("samples", 0) < end:
            before = figure_curves.record(experiment, data.sha256) or {}
            if before.get("samples", 0) > record.get("samples", 0):
                record, shown = before, shown + 1
        curve = [row for row in record.get("curve", []) if row["samples"] <= end]
        if not curve:
            missing.append(experiment.title)
            continue
        samples = min(record["samples"], end)
        settings = record["experiment"] | {"samples": samples}
        record = record | {"experiment": settings, "samples": samples, "curve": curve}
        runs.append(Run(experiment, data, record))
    if shown:
        print(f"from figures drawn before, not from the store: {shown} curves", flush=True)
    if missing:
        print(f"not begun so far, and left out: {', '.join(missing)}", flush=True)
    if not runs:
        raise ValueError("none of these runs has been begun so far")
    return runs


# ------------------------------------------------------------------------------------- tasks


@dataclass
class _Task:
    """What one run still needs: `experiment` to its furthest target, `targets` on the way."""

    experiment: Experiment
    data: Dataset
    targets: set[int]

    @property
    def is_done(self) -> bool:
        return all(store.is_finished(self.experiment.key, n) for n in self.targets)


def _missing(chosen: list[tuple[Experiment, Dataset]], in_turn: bool) -> list[_Task]:
    """A task a run, the longest first, or as they were chosen."""
    tasks: dict[str, _Task] = {}
    for experiment, data in chosen:
        if store.is_finished(experiment.key, experiment.samples):
            continue
        task = tasks.setdefault(experiment.key, _Task(experiment, data, set()))
        task.targets.add(experiment.samples)
        if experiment.samples > task.experiment.samples:
            task.experiment = experiment
    return sorted(tasks.values(), key=lambda task: 0 if in_turn else -task.experiment.cost)


def _train(tasks: list[_Task], execution: executor.Execution) -> None:
    """Hand all tasks to one executor, and see them through."""
    experiments = {task.experiment.key: task.experiment for task in tasks}
    board = Board(experiments, {key: store.samples(key) for key in experiments})
    deaths: Counter[str] = Counter()
    failures: list[Exception] = []
    with _workers(board.update, execution) as workers, board:
        left, running, waiting = list(tasks), dict[Future, _Task](), False
        while left or running:
            for task in list(left):
                if task.is_done:  # by another process
                    left.remove(task)
                    board.ended(task.experiment.key, True)
                elif workers.may_begin(task):
                    left.remove(task)
                    future = workers.submit(task)
                    running[future] = task
                    if future.done():  # in this process: it is seen to before the next begins
                        break
            if not running and left:
                if not waiting:
                    title = left[0].experiment.title
                    print(f"another process trains {title}: waiting for it", flush=True)
                waiting = True
                time.sleep(LOOK_AGAIN_S)
            for future in wait(running, LOOK_AGAIN_S, return_when="FIRST_COMPLETED").done:
                task = running.pop(future)
                key = task.experiment.key
                try:
                    workers.store(task, future.result())
                    if not task.is_done:  # another process has begun with it
                        left.append(task)
                except executor.WorkerDied as error:
                    deaths[key] += 1
                    if deaths[key] < DEATHS:
                        left.append(task)
                    else:
                        why = f"{error}, {DEATHS} times, so it is given up"
                        failures.append(_of(task, executor.WorkerDied(why)))
                except CancelledError as error:
                    raise executor.ClusterError("the scheduler is no longer there") from error
                except Exception as error:
                    failures.append(_of(task, executor.translated(error)))
                board.ended(key, task.is_done)
    if failures:
        first, *more = failures
        for other in more:
            first.add_note(f"and {other.__notes__[0]}: {other}")
        raise first


def _of(task, error):
    error.add_note(task.experiment.title)
    return error


class _Workers:
    """Those who train: an executor, and whether its workers see the store of this process.

    Where they do, whoever trains a run claims it; where they do not, this process does, and what
    they have made comes back.
    """

    def __init__(self, pool: Executor, shared: bool):
        self._pool, self._shared = pool, shared
        self._claims: dict[str, contextlib.ExitStack] = {}

    def may_begin(self, task: _Task) -> bool:
        """Whether no other process trains the run."""
        key = task.experiment.key
        if self._shared:
            return not store.is_claimed(key)
        if key not in self._claims:
            claim = contextlib.ExitStack()
            if not claim.enter_context(store.claim(key)):
                claim.close()
                return False
            self._claims[key] = claim
        return True

    def submit(self, task: _Task) -> Future:
        """The future of what `store` stores."""
        files = None if self._shared else store.pack(task.experiment.key)
        folder = str(paths.results())
        return self._pool.submit(_work, task.experiment, task.data, task.targets, folder, files)

    def store(self, task: _Task, files: dict[str, bytes] | None) -> None:
        """Store what came back."""
        key = task.experiment.key
        if files is not None:
            store.unpack(key, files)
            self._claims.pop(key).close()

    def close(self) -> None:
        """Give back what is still claimed."""
        while self._claims:
            self._claims.popitem()[1].close()


def _work(
    experiment: Experiment,
    data: Dataset,
    targets: set[int],
    folder: str,
    files: dict[str, bytes] | None,
) -> dict[str, bytes] | None:
    """What a worker does: train a run in the caller's store, or, given its `files`, in its own."""
    with contextlib.suppress(RuntimeError):  # TensorFlow is at work here already
        tf.config.threading.set_intra_op_parallelism_threads(1)
    if files is None:
        with paths.results_in(folder), store.claim(experiment.key) as mine:
            if mine:
                training.train(experiment, data, targets)
        return None
    with tempfile.TemporaryDirectory() as scratch, paths.results_in(scratch):
        with store.claim(experiment.key):
            store.unpack(experiment.key, files)
            training.train(experiment, data, targets)
        return store.pack(experiment.key)


@contextlib.contextmanager
def _workers(on_report: executor.OnReport, execution: executor.Execution) -> Iterator[_Workers]:
    if execution.cluster:
        with executor.cluster(execution.cluster, on_report) as pool:
            workers = _Workers(pool, _shares_the_store(pool))
            try:
                yield workers
            finally:
                workers.close()
        return
    pool = executor.local(on_report, execution.jobs)
    try:
        yield _Workers(pool, shared=True)
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _shares_the_store(pool: Executor) -> bool:
    """Whether the workers of a cluster see this store. Raises ClusterError for other code."""
    mark = paths.results() / f".seen-{uuid.uuid4().hex}"
    _files.replace(mark, b"")
    try:
        future = pool.submit(_sees, str(mark))
        while not wait([future], 10).done:
            print("the scheduler has no worker yet: waiting for one", flush=True)
        sees, sources = future.result()
    except CancelledError as error:
        raise executor.ClusterError("the scheduler is no longer there") from error
    finally:
        mark.unlink()
    if sources != version.SOURCES:
        raise executor.ClusterError(
            f"the workers have other code of the kit (sources {sources}) than this process "
            f"({version.SOURCES}): install the same on both"
        )
    return sees


def _sees(mark: str) -> tuple[bool, str]:
    return Path(mark).exists(), version.SOURCES


def _finished(experiment, data):
    file = store.record_file(experiment.key, experiment.samples)
    record = store.read_record(experiment.key, experiment.samples) or {}
    return _check(experiment, data, record, file)


def check(chosen: Iterable[tuple[Experiment, Dataset]], mend: bool = True) -> None:
    """Raise ValueError or StoreError for what cannot be drawn; see `run_all`.

    With `mend`, a finished model or record that is not whole is deleted, to be made again.
    """
    for experiment, data in chosen:
        experiment.training_set(data)
        key, samples = experiment.key, experiment.samples
        if mend and (said := store.mend(key, samples)):
            print(said, flush=True)
        if (record := store.read_record(key, samples)) is not None:
            _check(experiment, data, record, store.record_file(key, samples))
        elif (record := store.read_progress(key)) is not None:
            _check(experiment, data, record, store.runs_folder() / key / store.CHECKPOINT)


def _check(experiment: Experiment, data: Dataset, record: dict, file: Path) -> dict:
    """`record`, which stands in `file`, if it is of this experiment and these data."""
    try:
        found = records.check(record, whole=file.name != store.CHECKPOINT)
        if dataclasses.replace(found, samples=experiment.samples) != experiment:
            raise ValueError("it is of other settings")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise store.bad(file, why, experiment.key) from error
    theirs = record["data_sha256"]
    if theirs != data.sha256:
        raise store.StoreError(
            f"{file.parent} holds a run on other data of the name {data.name!r}: their pixels have "
            f"SHA-256 {theirs[:12]}…, these {data.sha256[:12]}…. `python -m vae_keras runs --drop "
            f"{experiment.key}` deletes it; to keep both, let VAE_KERAS_RESULTS name another folder"
        )
    return record


def _tell_of_others(runs: list[Run]) -> None:
    titles: dict[str, list[str]] = {}
    for run in runs:
        if others := version.others(run.record):
            titles.setdefault(others, []).append(run.experiment.title)
    for others, (first, *more) in titles.items():
        also = f" and {len(more)} more" if more else ""
        print(f"from the store, made by {others}: {first}{also}", flush=True)


# ------------------------------------------------------------------------------------ tables


def table(runs: Iterable[Run], last: bool = False) -> pd.DataFrame:
    """The curves of `runs`, in figure 2's or 3's columns, or only what is at the end of each."""
    return pd.DataFrame(
        [
            row
            for run in runs
            for row in run.record["curve"]
            if not last or row["samples"] == run.record["curve"][-1]["samples"]
        ]
    )
