"""Tasks in processes of their own: what comes back, and what a death does."""

import operator
import os
import signal
import subprocess
import sys
import time

import pytest

from vae_keras.reproduction import executor, paths

REPORTS = []


@pytest.fixture(scope="module", autouse=True)
def _light(tmp_path_factory):
    """Processes that run tasks find the kit's modules, but what they import has no TensorFlow."""
    package = tmp_path_factory.mktemp("light") / "vae_keras" / "__init__.py"
    package.parent.mkdir()
    package.write_text(f"__path__ = [{str(paths.ROOT / 'vae_keras')!r}]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(package.parents[1]))
        patch.setenv("PYTHONSAFEPATH", "1")  # not first where this process stands, the checkout
        yield


@pytest.fixture(scope="module")
def pool(_light):
    with executor.LocalExecutor(2, REPORTS.append) as pool:
        yield pool


def test_results_errors_and_reports_come_back(pool):
    futures = [pool.submit(operator.pow, n, 2) for n in range(5)]
    assert [future.result() for future in futures] == [0, 1, 4, 9, 16]
    assert isinstance(pool.submit(int, "no number").exception(), ValueError)
    assert isinstance(pool.submit(os.remove, "/no/such/file").exception(), FileNotFoundError)
    assert pool.submit(executor.report, {"samples": 3}).result() is None
    assert {"samples": 3} in REPORTS
    pids = {pool.submit(os.getpid).result() for _ in range(4)}
    assert len(pids) <= 2
    assert os.getpid() not in pids


@pytest.mark.long
def test_a_death_ends_its_own_task_alone(pool):
    other = pool.submit(time.sleep, 1)
    died = [pool.submit(os._exit, 3), pool.submit(os.abort)]
    assert str(died[0].exception()) == "its process ended with status 3"
    assert str(died[1].exception()) == "its process ended by SIGABRT"
    assert all(isinstance(future.exception(), executor.WorkerDied) for future in died)
    assert other.result() is None
    assert pool.submit(operator.add, 1, 2).result() == 3


@pytest.mark.long
def test_a_process_that_has_grown_too_large_makes_place_for_another(monkeypatch):
    with executor.LocalExecutor(1) as pool:
        first = pool.submit(os.getpid).result()
        assert pool.submit(os.getpid).result() == first
        monkeypatch.setattr(executor, "RECYCLED_ABOVE", 0)
        assert pool.submit(os.getpid).result() == first
        second = pool.submit(os.getpid).result()
        assert second != first
        assert not os.path.exists(f"/proc/{first}/cwd")  # it has ended


@pytest.mark.long
def test_what_runs_is_ended_at_once_and_what_waits_is_cancelled():
    pool = executor.LocalExecutor(2)
    pids = [pool.submit(os.getpid).result() for _ in range(2)]
    futures = [pool.submit(time.sleep, 100) for _ in range(5)]
    time.sleep(0.5)
    began = time.perf_counter()
    pool.shutdown(cancel_futures=True)
    assert time.perf_counter() - began < 5
    assert sum(future.cancelled() for future in futures) == 3
    for future in (future for future in futures if not future.cancelled()):
        assert isinstance(future.exception(5), executor.WorkerDied)
    assert not any(os.path.exists(f"/proc/{pid}/cwd") for pid in pids)


@pytest.mark.long
def test_each_process_has_one_thread_and_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setattr(executor.gpus, "why_unused", lambda: "")
    monkeypatch.setattr(executor.gpus.shutil, "which", lambda program: None)
    assert executor.n_jobs() == 2
    with executor.LocalExecutor(2, environment={"CUDA_MPS_PIPE_DIRECTORY": "pipes"}) as pool:
        assert pool.submit(os.getenv, "CUDA_MPS_PIPE_DIRECTORY").result() == "pipes"
        asleep = pool.submit(time.sleep, 2)  # so that the others have the other process
        time.sleep(0.5)
        seen = {pool.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result()}
        assert pool.submit(os.getenv, "TF_NUM_INTRAOP_THREADS").result() == "1"
        asleep.result()
        both = [pool.submit(time.sleep, 1), pool.submit(os.getenv, "CUDA_VISIBLE_DEVICES")]
        seen |= {both[1].result()}
    assert seen <= {"4", "7"}


def test_as_many_at_once_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    memory = 100 * executor.MEMORY
    monkeypatch.setattr(
        executor.psutil, "virtual_memory", lambda: type("Memory", (), {"available": memory})
    )
    assert executor.n_jobs() == 64
    memory = 3.5 * executor.MEMORY
    assert executor.n_jobs() == 3
    memory = 0
    assert executor.n_jobs() == 1


def test_another_process_reads_from_its_environment_what_this_one_was_asked_for(monkeypatch):
    for execution in (
        executor.Execution(),
        executor.Execution(jobs=0, train=False),
        executor.Execution(jobs=17, cluster="tcp://there:8786"),
    ):
        for name, value in execution.environment().items():
            monkeypatch.setenv(name, value)
        assert executor.Execution.from_environment() == execution
    monkeypatch.setenv("VAE_KERAS_NO_TRAINING", "0")
    assert executor.Execution.from_environment().train
    monkeypatch.setenv("VAE_KERAS_JOBS", "two")
    with pytest.raises(ValueError, match="VAE_KERAS_JOBS is 'two', but must be a whole number"):
        executor.Execution.from_environment()


def test_none_at_once_is_this_process_itself():
    told = []
    with executor.local(told.append, jobs=0) as pool:
        assert pool.submit(os.getpid).result() == os.getpid()
        assert isinstance(pool.submit(int, "x").exception(), ValueError)
        pool.submit(executor.report, "here").result()
    executor.report("nobody listens")
    assert told == ["here"]


@pytest.mark.long
def test_its_processes_end_with_it_however_it_ends():
    code = """
import os, signal
from vae_keras.reproduction import executor
pool = executor.LocalExecutor(1)
print(pool.submit(os.getpid).result(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    for _ in range(50):
        if not os.path.exists(f"/proc/{pid}/cwd"):
            return
        time.sleep(0.1)
    pytest.fail("the process is still there")


def test_a_cluster_that_is_none_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(executor, "ANSWER_S", 1)
    with (
        pytest.raises(
            executor.ClusterError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"
        ),
        executor.cluster("tcp://127.0.0.1:9"),
    ):
        pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(executor.ClusterError, match=r'pip install "vae-keras\[cluster\]"'),
        executor.cluster("tcp://127.0.0.1:9"),
    ):
        pass
