"""Get the runs of experiments: from the store, or trained by one executor, one task per run."""

import contextlib
import dataclasses
import functools
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
    gpus,
    paths,
    records,
    store,
    training,
    version,
)
from vae_keras.reproduction.experiments import MEASURES, Experiment
from vae_keras.reproduction.progress import Board

DEATHS = 3  # a run is given up after so many of its processes have died
LOOK_AGAIN_S = 1


@dataclass(frozen=True)
class Run:
    """A stored run: its settings, its data, its record and its trained model.

    `record` has `experiment`, the settings; `data_sha256`, a hash of the pixels; `made_by`, the
    versions of vae_keras that trained the run; `trained_on`, the devices; `training_s`, the
    seconds; and `curve`, a list of rows with figure 2's columns (dataset, latent_dim, algorithm,
    split, samples, lower_bound, seed) or figure 3's (also n_train, marginal_log_likelihood, its
    Monte Carlo error and HMC's acceptance).
    """

    experiment: Experiment
    data: Dataset
    record: dict

    @functools.cached_property
    def model(self) -> LatentVariableModel:
        """The trained model, loaded on first use: from the store, or as shipped (`shipped_as`).

        An unfinished run has the model of its checkpoint. Raises StoreError if the run was trained
        further since its record was read.
        """
        if self.shipped_as:
            return pretrained.load(self.shipped_as)
        key, samples = self.experiment.key, self.experiment.samples
        if store.has_model(key, samples):
            model = store.load_model(key, samples)
            try:
                records.check_model(model, self.experiment, self.samples)
            except ValueError as error:
                raise store.bad(store.model_file(key, samples), str(error), key) from error
            return model
        model = self.experiment.build(self.data)
        found = store.restore(key, model)
        if found is None:
            raise store.StoreError(
                f"{store.runs_folder()} has no model of {key}, only its curve: train it, without "
                "VAE_KERAS_NO_TRAINING"
            )
        if found["samples"] != self.samples:
            raise store.StoreError(
                f"{key} was trained further since its curve was read, at {self.samples:,} samples: "
                "draw from its model while no process trains it"
            )
        model.set_evaluation_noise(0)
        return model

    @property
    def has_model(self) -> bool:
        """Whether `model` is available: a run known only from a figure may have none."""
        key = self.experiment.key
        stored = store.has_model(key, self.experiment.samples) or store.samples(key) == self.samples
        return stored or self.shipped_as is not None

    @functools.cached_property
    def shipped_as(self) -> str | None:
        """The name of this run's model in `vae_keras.pretrained`; None if the store has the run."""
        key = self.experiment.key
        if store.has_model(key, self.experiment.samples) or store.samples(key):
            return None
        return _shipped_name(self.experiment, self.data)

    @property
    def learned_from(self) -> str:
        """The title of the data set used for training; `data` may be a substitute for it."""
        return self.record.get("data", self.data.title)

    @property
    def samples(self) -> int:
        """Training samples evaluated."""
        return self.record["samples"]


def run(experiment: Experiment, data: Dataset) -> Run:
    """The run of one experiment; see `run_all`."""
    return run_all([(experiment, data)])[0]


def shipped(name: str, allow_embedded: bool = True) -> Run:
    """A model that ships with the package, in `vae_keras.pretrained`, as a `Run`.

    Its curve is a single row, the final value on the test set. The data are those it was trained
    on or, if they are not found and `allow_embedded` is true, their embedded substitute. Raises
    ValueError for an unknown name, DataError if there are no data.
    """
    told = pretrained.about(name)
    experiment = Experiment(**told["experiment"])
    about = {key: getattr(experiment, key) for key in MEASURES[experiment.measure]}
    row = about | {"split": "test", "samples": told["samples"], "seed": experiment.seed}
    row[experiment.measure] = told[experiment.measure]
    data = datasets.load(experiment.dataset, allow_embedded)
    run = Run(experiment, data, told | {"curve": [row]})
    run.__dict__["shipped_as"] = name  # even if the store has the run
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
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Run]:
    """Train the runs that are not finished in the store; returns all runs, in order.

    Duplicates in `chosen` are dropped. The longest run starts first or, with `in_turn`, the first
    one chosen. If another process trains a run, this one waits for it. Prints which runs were made
    by other versions. `execution`: by default from the environment. If it does not train, the runs
    are returned as far as they have got, without those not yet measured. Runs whose model is not
    needed (`models` false) or ships with the package may then come from the figures in
    ``figures/``. `meanwhile` is called every second while processes train, and after each run.

    Raises, before any training, ValueError for an experiment that does not fit its data or for no
    experiments, ClusterError if no scheduler answers, and StoreError for a run trained on other
    data of the same name. If runs fail, the others still finish; then the first error is raised,
    WorkerDied for a run whose process died three times.
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
            _train(tasks, execution, meanwhile)
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
        print(f"read from existing figures, not from the store: {shown} curves", flush=True)
    if missing:
        print(f"left out, not started yet: {', '.join(missing)}", flush=True)
    if not runs:
        raise ValueError("none of these runs has been started yet")
    return runs


# ------------------------------------------------------------------------------------- tasks


@dataclass
class _Task:
    """The remaining work on a run: `targets` in samples; `experiment` has the largest of them."""

    experiment: Experiment
    data: Dataset
    targets: set[int]

    @property
    def is_done(self) -> bool:
        return all(store.is_finished(self.experiment.key, n) for n in self.targets)


def _missing(chosen: list[tuple[Experiment, Dataset]], in_turn: bool) -> list[_Task]:
    """One task per run, the longest first or, with `in_turn`, as chosen."""
    tasks: dict[str, _Task] = {}
    for experiment, data in chosen:
        if store.is_finished(experiment.key, experiment.samples):
            continue
        task = tasks.setdefault(experiment.key, _Task(experiment, data, set()))
        task.targets.add(experiment.samples)
        if experiment.samples > task.experiment.samples:
            task.experiment = experiment
    return sorted(tasks.values(), key=lambda task: 0 if in_turn else -task.experiment.cost)


def _train(
    tasks: list[_Task], execution: executor.Execution, meanwhile: Callable[[], None]
) -> None:
    """Run all tasks with one executor."""
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
                    if future.done():  # it ran in this process: store its result before the next
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
                    if not task.is_done:  # another process has claimed the run
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
            meanwhile()
    if failures:
        first, *more = failures
        for other in more:
            first.add_note(f"and {other.__notes__[0]}: {other}")
        raise first


def _of(task, error):
    error.add_note(task.experiment.title)
    return error


class _Workers:
    """An executor; `shared`: its workers see the store of this process.

    If so, the worker claims the run that it trains. If not, this process claims the run, sends its
    files to the worker and stores the files that come back.
    """

    def __init__(self, pool: Executor, shared: bool):
        self._pool, self._shared = pool, shared
        self._claims: dict[str, contextlib.ExitStack] = {}

    def may_begin(self, task: _Task) -> bool:
        """Whether no other process trains the run; claims it unless the store is shared."""
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
        """Start a task; the result of its future is for `store`."""
        files = None if self._shared else store.pack(task.experiment.key)
        folder = str(paths.results())
        return self._pool.submit(_work, task.experiment, task.data, task.targets, folder, files)

    def store(self, task: _Task, files: dict[str, bytes] | None) -> None:
        """Store the result of a task."""
        key = task.experiment.key
        if files is not None:
            store.unpack(key, files)
            self._claims.pop(key).close()

    def close(self) -> None:
        """Release all claims."""
        while self._claims:
            self._claims.popitem()[1].close()


def _work(
    experiment: Experiment,
    data: Dataset,
    targets: set[int],
    folder: str,
    files: dict[str, bytes] | None,
) -> dict[str, bytes] | None:
    """Train a run in a worker: in the caller's store or, given its `files`, in a temporary one."""
    with contextlib.suppress(RuntimeError):  # TensorFlow has already started here
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
        with (
            executor.cluster(execution.cluster, on_report) as pool,
            contextlib.closing(_Workers(pool, _shares_the_store(pool))) as workers,
        ):
            yield workers
        return
    if why := gpus.why_unused():
        print(why, file=sys.stderr, flush=True)
    with executor.local(on_report, execution.jobs) as pool:
        yield _Workers(pool, shared=True)


def _shares_the_store(pool: Executor) -> bool:
    """Whether a cluster's workers see this store. Raises ClusterError if their code differs."""
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
            f"the workers have another version of vae_keras (sources {sources}) than this process "
            f"({version.SOURCES}): install the same version on both"
        )
    return sees


def _sees(mark: str) -> tuple[bool, str]:
    return Path(mark).exists(), version.SOURCES


def _finished(experiment, data):
    file = store.record_file(experiment.key, experiment.samples)
    record = store.read_record(experiment.key, experiment.samples) or {}
    return _check(experiment, data, record, file)


def check(chosen: Iterable[tuple[Experiment, Dataset]], mend: bool = True) -> None:
    """Raise ValueError or StoreError for runs that cannot be drawn; see `run_all`.

    `mend`: delete a damaged model or record of a finished run, so that it is made again.
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
    """Return `record`, from `file`, if it belongs to this experiment and data, else raise."""
    try:
        found = records.check(record, whole=file.name != store.CHECKPOINT)
        if dataclasses.replace(found, samples=experiment.samples) != experiment:
            raise ValueError("it has other settings")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise store.bad(file, why, experiment.key) from error
    theirs = record["data_sha256"]
    if theirs != data.sha256:
        raise store.StoreError(
            f"{file.parent} holds a run on other data with the name {data.name!r}: the SHA-256 of "
            f"their pixels is {theirs[:12]}…, not {data.sha256[:12]}…. `python -m vae_keras runs "
            f"--drop {experiment.key}` deletes it; to keep both, set VAE_KERAS_RESULTS to another "
            "folder"
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
    """The curves of `runs`, with figure 2's or 3's columns; `last`: only the last point of each."""
    return pd.DataFrame(
        [
            row
            for run in runs
            for row in run.record["curve"]
            if not last or row["samples"] == run.record["curve"][-1]["samples"]
        ]
    )
