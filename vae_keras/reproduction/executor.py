"""Executors of tasks: single-threaded processes on this machine, or a Dask cluster.

Both have the interface of `concurrent.futures`. A task may call `report` to send a message about
its progress to the `on_report` function of its executor.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any
from urllib.request import urlopen

import psutil

from vae_keras.reproduction import gpus

MEMORY = 1.5 * 2**30  # bytes: what a process needs of its own; one run of `paper` takes twice that
# A process that has more than this after a task ends: the memory of XLA's programs is never freed,
# and the next task would exceed MEMORY.
RECYCLED_ABOVE = 0.75 * 2**30
ANSWER_S = 10  # timeout for a scheduler to answer
TOPIC = "vae_keras"  # the Dask topic of reports
OnReport = Callable[[Any], None]


class WorkerDied(RuntimeError):
    """The process of a task ended before the task did, perhaps killed for lack of memory."""


class ClusterError(RuntimeError):
    """No scheduler answers at an address, or the connection to it was lost."""


class Cancelled(RuntimeError):
    """The task was cancelled and must end."""


send: OnReport | None = None  # what `report` calls in a process of a `LocalExecutor`


def report(message: Any) -> None:
    """Send a message about progress to the submitter of this task. Outside a task, do nothing.

    Raises Cancelled or BrokenPipeError if the submitter no longer waits for the task.
    """
    if send is not None:
        send(message)
    elif "distributed" in sys.modules:
        from distributed import get_worker

        try:
            worker = get_worker()
        except ValueError:  # not inside a Dask task
            return
        task = worker.state.tasks.get(worker.get_current_task())
        if task is None or task.state == "cancelled":
            raise Cancelled("the submitter of this task no longer waits for it")
        worker.log_event(TOPIC, message)


@dataclass(frozen=True)
class Execution:
    """How runs are trained: set by the command's options or, in a notebook, the environment.

    `jobs`: the number of processes that train; 0: train in this process; None: `n_jobs()`.
    `cluster`: the address of a Dask scheduler whose workers train instead. `train`: False draws
    the runs as far as they have got, without training.
    """

    jobs: int | None = None
    cluster: str | None = None
    train: bool = True

    @classmethod
    def from_environment(cls) -> "Execution":
        """From ``VAE_KERAS_JOBS``, ``VAE_KERAS_CLUSTER`` and ``VAE_KERAS_NO_TRAINING``.

        Raises ValueError if ``VAE_KERAS_JOBS`` is not a whole number.
        """
        jobs = os.environ.get("VAE_KERAS_JOBS") or None
        if jobs and not jobs.isdecimal():
            raise ValueError(f"VAE_KERAS_JOBS is {jobs!r}, but must be a whole number")
        no_training = os.environ.get("VAE_KERAS_NO_TRAINING", "0") not in ("", "0")
        cluster = os.environ.get("VAE_KERAS_CLUSTER") or None
        return cls(int(jobs) if jobs else None, cluster, not no_training)

    def environment(self) -> dict[str, str]:
        """The environment variables that `from_environment` reads in another process."""
        jobs = "" if self.jobs is None else str(self.jobs)
        return {
            "VAE_KERAS_JOBS": jobs,
            "VAE_KERAS_CLUSTER": self.cluster or "",
            "VAE_KERAS_NO_TRAINING": "0" if self.train else "1",
        }


def n_jobs() -> int:
    """The number of tasks to run at once: as GPUs, cores and memory allow."""
    has_affinity = hasattr(os, "sched_getaffinity")  # not so on macOS
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    most = max(1, min(cores, int(psutil.virtual_memory().available / MEMORY)))
    return gpus.at_once(most) if gpus.names() else most


@contextlib.contextmanager
def local(
    on_report: OnReport = lambda message: None, jobs: int | None = None
) -> Iterator[Executor]:
    """An executor on this machine with `jobs` processes, by default `n_jobs()`; 0: this process.

    An exception within the context kills the running tasks.
    """
    n = n_jobs() if jobs is None else jobs
    if not n:
        yield InThisProcess(on_report)
        return
    with gpus.shared(n) as environment:
        if environment is None and jobs is None:
            n = len(gpus.names())
        with LocalExecutor(n, on_report, environment) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


class InThisProcess(Executor):
    """Run each task in this process when it is submitted: for a debugger, or a single run."""

    def __init__(self, on_report: OnReport = lambda message: None):
        self._on_report = on_report

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """As in `concurrent.futures`, but the returned future is already done."""
        global send
        future: Future = Future()
        before, send = send, self._on_report
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        finally:
            send = before
        return future


class LocalExecutor(Executor):
    """Up to `n` processes, started on demand, each with one thread and one task at a time.

    If a process dies, only the future of its own task raises `WorkerDied`. A process that died or
    uses too much memory is replaced. `on_report` may be called from any thread. `shutdown` with
    ``cancel_futures=True`` kills running tasks. `environment`: further variables of the processes.
    """

    def __init__(
        self,
        n: int,
        on_report: OnReport = lambda message: None,
        environment: Mapping[str, str] | None = None,
    ):
        self._threads = ThreadPoolExecutor(n, thread_name_prefix="task")
        self._on_report, self._mine = on_report, threading.local()
        self._lock, self._closed = threading.Lock(), False
        self._processes: set[subprocess.Popen] = set()
        self._devices, self._slots = gpus.names(), itertools.count()
        self._environment = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._environment |= environment or {}

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """As in `concurrent.futures`; `fn` is a module-level function, its arguments picklable."""
        return self._threads.submit(self._run, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As in `concurrent.futures`; also ends the processes."""
        self._threads.shutdown(wait and not cancel_futures, cancel_futures=cancel_futures)
        if wait or cancel_futures:
            with self._lock:
                self._closed = True
                for process in self._processes:
                    process.kill()  # it is idle, or its task is cancelled
                    process.wait()
        self._threads.shutdown(wait)

    def _run(self, fn, args, kwargs):
        if not hasattr(self._mine, "slot"):
            self._mine.slot, self._mine.worker = next(self._slots), None
        worker = self._mine.worker
        if worker is None or worker[0].poll() is not None:
            worker = self._mine.worker = self._begin()
        process, connection = worker
        try:
            connection.send((fn, args, kwargs))
            kind, content = connection.recv()
            while kind == "report":
                self._on_report(content)
                kind, content = connection.recv()
        except (EOFError, OSError):
            self._mine.worker = None
            connection.close()
            raise WorkerDied(f"its process ended {_how(process.wait())}") from None
        with contextlib.suppress(psutil.NoSuchProcess):
            if _own_memory(process.pid) > RECYCLED_ABOVE:
                self._mine.worker = None
                connection.close()  # this ends the process
        if kind == "error":
            raise content
        return content

    def _begin(self) -> tuple[subprocess.Popen, Connection]:
        with self._lock:
            if self._closed:
                raise WorkerDied("the executor was shut down")
            ours, theirs = Pipe()
            environment = {**os.environ, **self._environment}
            if self._devices:
                device = self._devices[self._mine.slot % len(self._devices)]
                # Several processes may share a GPU, and so its memory.
                environment |= {"CUDA_VISIBLE_DEVICES": device, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
            process = subprocess.Popen(
                [sys.executable, "-m", "vae_keras.reproduction.worker", str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches only the submitter, who ends all
            )
            theirs.close()
            self._processes.add(process)
            return process, ours


def _own_memory(pid: int) -> int:
    """Bytes of a process, without the code of libraries, of which all processes share one copy."""
    found = psutil.Process(pid).memory_info()
    return found.rss - getattr(found, "shared", 0)  # not counted on macOS


def _how(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


def translated(error: Exception) -> Exception:
    """`WorkerDied` if Dask gave up a task because its workers died; else the same error."""
    if type(error).__name__ == "KilledWorker":
        return WorkerDied("its workers died repeatedly, so Dask gave it up")
    return error


def check_cluster(address: str) -> None:
    """Raise ClusterError if no Dask scheduler answers at `address`."""
    _client(address).close(timeout=5)


def _client(address):
    try:
        import dask
        from distributed import Client
    except ImportError as error:
        raise ClusterError('a cluster needs Dask: pip install "vae-keras[cluster]"') from error
    # Each task carries its own data, so that a worker's death affects no other task.
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
    try:
        return Client(address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address}: {error}") from error


@contextlib.contextmanager
def cluster(address: str, on_report: OnReport = lambda message: None) -> Iterator[Executor]:
    """The executor of the Dask scheduler at `address`. Raises ClusterError if none answers."""
    client = _client(address)
    try:
        client.subscribe_topic(TOPIC, lambda event: on_report(event[1]))
        dashboard = client.dashboard_link  # also of a scheduler that has none
        with contextlib.suppress(OSError, ValueError), urlopen(dashboard, timeout=2):
            print(f"Dask's dashboard: {dashboard}", flush=True)
        yield client.get_executor()
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            client.close(timeout=5)
