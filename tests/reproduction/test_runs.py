"""Many runs at once, here and on a cluster: the same tables, whatever happens on the way."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import distributed
import numpy as np
import pytest
from oracles import saboteur
from oracles.fixtures import XLA_FLAGS

from vae_keras.reproduction import executor, figure_curves, paths, runs, store, training, version
from vae_keras.reproduction.executor import Execution
from vae_keras.reproduction.experiments import MEASURES, RECIPE, Experiment

SAMPLES = 3000  # two points of a curve and few programs, each of which every process compiles


def pair(algorithm="aevb", latent_dim=2, samples=SAMPLES, **settings):
    settings = {"hidden": 5, "step_size": 0.02, "batch_size": 100, "warm_up": 10} | settings
    return Experiment("synthetic_faces", latent_dim, samples, algorithm, **settings)


@pytest.fixture(scope="module")
def chosen(faces):
    """Four runs, one of them asked for at two lengths."""
    some = [
        pair(),
        pair("wake_sleep"),
        pair(latent_dim=3),
        pair("wake_sleep", 3),
        pair(samples=2000),
    ]
    return [(experiment, faces) for experiment in some]


@pytest.fixture(scope="module")
def two(chosen):
    return chosen[:2]


@pytest.fixture(scope="module")
def expected(two, tmp_path_factory):
    """The tables of these two as one process trains them, undisturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAE_KERAS_RESULTS", str(tmp_path_factory.mktemp("undisturbed")))
        patch.setenv("VAE_KERAS_JOBS", "1")
        patch.setenv("XLA_FLAGS", XLA_FLAGS)  # as `xla` has it, of those that are compared
        return tables(runs.run_all(two))


def tables(found):
    return runs.table(found).to_csv()


@contextlib.contextmanager
def dask(cwd):
    """A scheduler and two workers, on this machine, each a process, as a user starts them."""
    env = os.environ | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{paths.ROOT}"}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    address = cwd / "scheduler.json"
    command += ["--port", "0", "--no-dashboard", "--scheduler-file", str(address)]
    quiet = {"cwd": cwd, "env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as scheduler:
        while not address.exists():
            time.sleep(0.1)
        command = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-dashboard"]
        command += ["--scheduler-file", str(address), "--nworkers", "2", "--nthreads", "1"]
        with subprocess.Popen(command, **quiet, start_new_session=True) as workers:
            try:
                yield json.loads(address.read_text())["address"], scheduler
            finally:
                os.killpg(workers.pid, signal.SIGKILL)
                scheduler.kill()


# ------------------------------------------------------------------------------- the same tables


def record_of(experiment, data, *points):
    """What `training` would store of a run, with a curve of these points."""
    about = {name: getattr(experiment, name) for name in MEASURES[experiment.measure]}
    about |= {"seed": experiment.seed, "lower_bound": -1.0}
    curve = [about | {"split": s, "samples": n} for n in points for s in ("train", "test")]
    settings = dataclasses.asdict(experiment)
    return {"experiment": settings, "recipe": RECIPE, "data_sha256": data.sha256,
            "made_by": [version.this()], "samples": points[-1], "curve": curve}  # fmt: skip


@pytest.fixture
def faked(monkeypatch):
    """Trainings that learn nothing and are done at once; whom each run was trained by."""
    trained = {}

    def train(experiment, data, targets):
        trained.setdefault(experiment.key, []).append(threading.get_ident())
        executor.report({"key": experiment.key, "samples": 7, "of": 9, "objective": "elbo",
                         "nats": -1.0})  # fmt: skip
        for n in targets:
            record = record_of(dataclasses.replace(experiment, samples=n), data, 1000, n)
            store.finish(experiment.key, n, saboteur.Saved(), record)

    monkeypatch.setattr(training, "train", train)
    return trained


@pytest.mark.filterwarnings("ignore:Sending large graph")  # the data, as they are
@pytest.mark.parametrize("shared", [True, False])
def test_a_cluster_trains_what_is_asked_and_the_store_has_it(
    shared, chosen, faked, monkeypatch, tmp_path
):
    """Dask's own scheduler and workers, as threads of this process, and tasks that do nothing."""
    told = []
    monkeypatch.setattr(runs.Board, "update", lambda self, report: told.append(report["key"]))
    monkeypatch.setattr(runs, "_sees", lambda mark: (shared, version.SOURCES))
    keys = {experiment.key for experiment, _ in chosen}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        monkeypatch.setenv("VAE_KERAS_CLUSTER", cluster.scheduler_address)
        found = runs.run_all(chosen)
        assert faked.keys() == keys
        assert all(len(by) == 1 for by in faked.values())
        assert threading.get_ident() not in {by for (by,) in faked.values()}
        assert set(told) <= keys
        assert [run.samples for run in found] == [e.samples for e, _ in chosen]
        assert not any(store.is_claimed(key) for key in keys)
        assert runs.run_all(chosen) == found  # from the store
        assert all(len(by) == 1 for by in faked.values())
        monkeypatch.setattr(runs, "_sees", lambda mark: (shared, "other"))
        with pytest.raises(
            executor.ClusterError, match=r"another version of vae_keras \(sources other\)"
        ):
            runs.run(pair(seed=9), chosen[0][1])


# -------------------------------------------------------------------------- without training


@pytest.mark.usefixtures("checkpoint")
def test_without_training_each_run_comes_as_far_as_it_is(small, faces, monkeypatch, capsys):
    before = store.read_progress(small.key)
    assert 0 < before["samples"] < small.samples
    other = dataclasses.replace(small, seed=1)
    monkeypatch.setattr(runs, "_train", lambda *_: pytest.fail("trained"))
    as_it_is = Execution(train=False)
    (run,) = runs.run_all([(small, faces), (other, faces)], execution=as_it_is)
    assert capsys.readouterr().out == f"left out, not started yet: {other.title}\n"
    assert run.samples == run.model.samples_evaluated == before["samples"]
    assert run.record["experiment"]["samples"] == before["samples"]
    assert run.record["curve"] == before["curve"]
    with pytest.raises(ValueError, match="none of these runs has been started yet"):
        runs.run_all([(other, faces)], execution=as_it_is)
    # Of a shorter run, whose model is not stored, there is the curve.
    monkeypatch.setenv("VAE_KERAS_NO_TRAINING", "1")  # as in a notebook
    (run,) = runs.run_all([(dataclasses.replace(small, samples=1500), faces)])
    assert run.samples == 1500
    assert {row["samples"] for row in run.record["curve"]} == {1000}
    with pytest.raises(
        store.StoreError, match=r"was trained further since its curve was read, at 1,500"
    ):
        _ = run.model


def test_without_training_a_curve_ends_where_it_was_asked_to(small, faces, monkeypatch):
    """Though the run, or a figure that was drawn of it, has gone on to points beyond."""
    record = record_of(small, faces, 1000, 3000, 10_000)
    for place, name in ((store, "read_progress"), (figure_curves, "record")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, lambda *_: record)
            (run,) = runs.run_all([(small, faces)], models=False, execution=Execution(train=False))
        assert [row["samples"] for row in run.record["curve"]] == [1000, 1000, 3000, 3000]
        assert run.samples == run.record["experiment"]["samples"] == small.samples == 4000


# ---------------------------------------------------------------------------- runs that grow


@pytest.mark.first(1)
@pytest.mark.parametrize("algorithm", ["aevb", "wake_sleep", "full_vb", "mcem"])
def test_a_run_that_grows_is_the_longer_run(algorithm, faces, monkeypatch, tmp_path):
    """Bit for bit: weights, optimiser, counters, curve."""
    # Of Monte Carlo EM a minibatch is 1,500 samples, and two are the warm-up.
    more = {"measure": "marginal_log_likelihood", "samples": 9000} if algorithm == "mcem" else {}
    whole = pair(algorithm, **more)
    part = dataclasses.replace(whole, samples=2000)
    assert part.key == whole.key
    runs.run(part, faces)
    grown = runs.run(whole, faces)
    model = grown.model
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path))
    once = runs.run(whole, faces)
    assert like(grown) == like(once)
    np.testing.assert_equal(everything(model), everything(once.model))


def like(run):
    of_machine = ("training_s", "trained_on")
    return {key: value for key, value in run.record.items() if key not in of_machine}


def everything(model):
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def test_the_table_has_all_that_is_recorded_or_what_is_at_the_end_of_each_run(faces):
    """Three splits of a bound, or two: whatever rows there are at the last samples."""

    def run(seed, samples, splits):
        curve = [{"split": s, "samples": n, "seed": seed} for n in (1000, samples) for s in splits]
        return runs.Run(pair(samples=samples, seed=seed), faces, {"curve": curve})

    some = [run(0, 4000, ("train", "test", "running")), run(1, 2950, ("train", "test"))]
    some[1].record["curve"][-1]["samples"] = some[1].record["curve"][-2]["samples"] = 3000
    whole, last = runs.table(some), runs.table(some, last=True)
    assert len(whole) == 10
    assert last.to_dict("records") == [
        {"split": split, "samples": n, "seed": seed}
        for seed, n, splits in (
            (0, 4000, ("train", "test", "running")),
            (1, 3000, ("train", "test")),
        )
        for split in splits
    ]


@pytest.mark.long
def test_a_shorter_run_is_the_beginning_of_the_longer_one(faces, monkeypatch, tmp_path):
    """Where the longer run has left no model: trained again up to there; the longer one stays."""
    whole = pair(samples=4000)
    part = dataclasses.replace(whole, samples=1500)
    runs.run(whole, faces)
    file = store.runs_folder() / whole.key / store.CHECKPOINT
    before = file.read_bytes()
    short = runs.run(part, faces)
    assert file.read_bytes() == before
    test = [row["samples"] for row in short.record["curve"] if row["split"] == "test"]
    assert test == [1000, 1500]
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path))
    assert like(short) == like(runs.run(part, faces))


# ---------------------------------------------------------------------------------- deaths


class CutOff(BaseException):
    """Ends what this process does, whatever that is."""


@pytest.mark.first(1)
@pytest.mark.parametrize("moment", sorted(saboteur.MOMENTS, key="checkpoint".__ne__))
def test_a_run_that_is_cut_off_goes_on_to_the_same_table(moment, faces, monkeypatch, tmp_path):
    """Twice, unless it was finished by then; what is left to go on from is what a kill leaves."""
    experiment, cut_off = pair(), []
    expected = tables([runs.run(experiment, faces)])
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path))

    def strike(key):
        if len(cut_off) < 2:
            cut_off.append(store.samples(key))
            raise CutOff

    saboteur.prepare(moment, strike, monkeypatch.setattr, checkpoint_every_s=0)
    found = None
    while found is None:
        with contextlib.suppress(CutOff):
            found = runs.run(experiment, faces)
    assert tables([found]) == expected
    assert cut_off == {"training": [1000, 1000], "checkpoint": [0, 0], "result": [3000]}[moment]


def dying(monkeypatch, deaths):
    """Let the processes that train a run of AEVB die so many times, one after the other."""
    train, died = training.train, Counter()

    def train_or_die(experiment, data, targets):
        if experiment.algorithm == "aevb" and died[experiment.key] < deaths:
            died[experiment.key] += 1
            raise executor.WorkerDied("its process ended by SIGKILL")
        train(experiment, data, targets)

    monkeypatch.setattr(training, "train", train_or_die)
    return died


def test_a_run_whose_process_dies_twice_is_begun_a_third_time(chosen, faked, monkeypatch):
    died = dying(monkeypatch, 2)
    assert len(runs.run_all(chosen)) == len(chosen)
    assert set(died.values()) == {2}
    assert all(len(by) == 1 for by in faked.values())


def test_a_run_whose_process_dies_three_times_is_given_up_and_no_other(chosen, faked, monkeypatch):
    died = dying(monkeypatch, 99)
    with pytest.raises(executor.WorkerDied, match="by SIGKILL, 3 times, so it is given") as error:
        runs.run_all(chosen)
    assert died == {pair().key: 3, pair(latent_dim=3).key: 3}
    first, more = error.value.__notes__
    titles = {first, more.split(": ")[0].removeprefix("and ")}
    assert titles == {pair().title, pair(latent_dim=3).title}
    assert faked.keys() == {pair("wake_sleep").key, pair("wake_sleep", 3).key}


@pytest.mark.long
@pytest.mark.usefixtures("xla")
def test_processes_that_are_killed_make_the_tables_of_one(
    two, expected, monkeypatch, tmp_path, capfd
):
    """The run of AEVB kills its own twice; the other is not disturbed."""
    for name, value in saboteur.environment(tmp_path, "training", 2).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VAE_KERAS_JOBS", "2")
    assert tables(runs.run_all(two)) == expected
    assert "2 of 2 runs trained" in capfd.readouterr().err
    assert len(list((tmp_path / "marks").iterdir())) == 2
    assert not list(store.runs_folder().rglob("*.part*"))
    monkeypatch.setattr(runs, "_train", lambda tasks: pytest.fail("trained again"))
    assert tables(runs.run_all(two)) == expected


@pytest.mark.long
@pytest.mark.usefixtures("xla")
def test_a_cluster_makes_the_tables_of_one_process(two, expected, monkeypatch, tmp_path, capfd):
    """Though one of its workers is killed, and none sees the store."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    monkeypatch.chdir(tmp_path / "ours")
    monkeypatch.setenv("VAE_KERAS_RESULTS", "/proc/self/cwd/results")  # a folder of each's own
    for name, value in saboteur.environment(tmp_path, "training", 1).items():
        monkeypatch.setenv(name, value)
    with dask(tmp_path / "theirs") as (address, _):
        monkeypatch.setenv("VAE_KERAS_CLUSTER", address)
        assert tables(runs.run_all(two)) == expected
    assert len(list((tmp_path / "marks").iterdir())) == 1
    assert not (tmp_path / "theirs" / "results").exists()
    assert "dashboard" not in capfd.readouterr().out  # the scheduler has none
    monkeypatch.delenv("VAE_KERAS_CLUSTER")
    assert tables(runs.run_all(two)) == expected  # from the store


@pytest.mark.long
@pytest.mark.usefixtures("xla")
def test_a_scheduler_that_dies_is_told_in_a_sentence(faces, monkeypatch, tmp_path):
    """What is stored stays, and the next start goes on."""
    long = [(pair(samples=10**8), faces)]
    with dask(tmp_path) as (address, scheduler):
        monkeypatch.setenv("VAE_KERAS_CLUSTER", address)
        threading.Timer(5, scheduler.kill).start()
        began = time.perf_counter()
        with pytest.raises(executor.ClusterError, match="the scheduler is no longer there"):
            runs.run_all(long)
        assert time.perf_counter() - began < 60


# ------------------------------------------------------------------------------ what is refused


def test_no_run_at_all_is_refused():
    with pytest.raises(ValueError, match="no experiment to run: each list of sizes, seeds or"):
        runs.run_all([])


@pytest.mark.usefixtures("faked")
def test_a_run_that_fails_does_not_hold_up_the_others(faces, monkeypatch):
    train = training.train

    def fails(experiment, data, targets):
        if experiment.algorithm == "aevb":
            raise ArithmeticError(f"{experiment.latent_dim}")
        train(experiment, data, targets)

    monkeypatch.setattr(training, "train", fails)
    some = [pair(samples=1000), pair(latent_dim=3, samples=1000), pair("wake_sleep", samples=1000)]
    with pytest.raises(ArithmeticError) as error:
        runs.run_all((experiment, faces) for experiment in some)
    assert len(error.value.__notes__) == 2
    assert store.is_finished(some[2].key, 1000)


@pytest.mark.usefixtures("faked")
def test_in_this_process_a_run_has_ended_before_the_next_begins(faces, monkeypatch):
    """So that what is shown counts it, and not its speed."""
    train, ended, seen = training.train, runs.Board.ended, []
    monkeypatch.setattr(
        training, "train", lambda *args: [seen.append(("begins", args[0].key)), train(*args)]
    )
    monkeypatch.setattr(
        runs.Board, "ended", lambda *args: [seen.append(("ended", args[1])), ended(*args)]
    )
    two = [pair(), pair(seed=1)]
    runs.run_all([(experiment, faces) for experiment in two])
    assert seen == [(what, one.key) for one in two for what in ("begins", "ended")]


def test_after_each_run_there_is_time_for_something_else(two, faked):
    finished = []
    runs.run_all(
        two, meanwhile=lambda: finished.append([store.is_finished(e.key, SAMPLES) for e, _ in two])
    )
    assert [sum(states) for states in finished] == [1, 2]


@pytest.mark.parametrize("stored", [True, False])
def test_what_another_process_trains_is_waited_for(stored, faces, faked, monkeypatch, capsys):
    """Then taken from the store, or trained here, where the other ended without storing it."""
    experiment = pair()
    monkeypatch.setattr(runs, "LOOK_AGAIN_S", 0.05)
    with store.claim(experiment.key):
        thread = threading.Thread(target=runs.run, args=(experiment, faces))
        thread.start()
        thread.join(1)
        assert thread.is_alive()
        assert faked == {}
        if stored:
            training.train(experiment, faces, {SAMPLES})
    thread.join(60)
    assert faked[experiment.key] == [threading.get_ident() if stored else thread.ident]
    assert store.is_finished(experiment.key, SAMPLES)
    assert capsys.readouterr().out.count("another process trains aevb synthetic_faces") == 1
