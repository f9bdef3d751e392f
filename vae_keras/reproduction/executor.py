"""Where tasks run: processes of this machine, a thread and a task each, or a Dask cluster.

Both have the interface of `concurrent.futures`. A task may tell how far it is, by `report`; that
reaches the function with which the executor was made.
"""

import contextlib
import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import psutil

MEMORY = 1.5 * 2**30  # bytes that a process takes, at most
# After a task with which it holds more, a process ends: XLA's programs are never given back, and
# the next task would take it beyond MEMORY.
RECYCLED_ABOVE = 1.2 * 2**30
ANSWER_S = 10  # in which a scheduler answers
TOPIC = "vae_keras"  # of what tasks report through Dask
OnReport = Callable[[Any], None]


class WorkerDied(RuntimeError):
    """The process that ran a task ended before the task did: killed, perhaps for its memory."""


class ClusterError(RuntimeError):
    """There is no scheduler at an address, or it is no longer there."""


class Cancelled(RuntimeError):
    """Nobody waits for this task any longer: it is to end."""


send: OnReport | None = None  # what `report` calls in a process of a `LocalExecutor`


def report(message: Any) -> None:
    """Tell whoever submitted this task how far it is. Does nothing where this is no task.

    Raises Cancelled, or BrokenPipeError, where nobody waits for the task any longer.
    """
    if send is not None:
        send(message)
    elif "distributed" in sys.modules:
        from distributed import get_worker

        try:
            worker = get_worker()
        except ValueError:  # no task of Dask's
            return
        task = worker.state.tasks.get(worker.get_current_task())
        if task is None or task.state == "cancelled":
            raise Cancelled("whoever submitted this task waits for it no longer")
        worker.log_event(TOPIC, message)


@dataclass(frozen=True)
class Execution:
    """How runs come about: the options of the command, or in a notebook the environment's.

    `jobs`: how many are trained at once, 0: none, but in this process itself; None: as many as
    `n_jobs` says. `cluster`: the address of a Dask scheduler whose workers train them. `train`:
    whether they are trained at all, or drawn as far as they have come.
    """

    jobs: int | None = None
    cluster: str | None = None
    train: bool = True

    @classmethod
    def from_environment(cls) -> "Execution":
        """``VAE_KERAS_JOBS``, ``VAE_KERAS_CLUSTER`` and ``VAE_KERAS_NO_TRAINING``.

        Raises ValueError for a ``VAE_KERAS_JOBS`` that is no whole number.
        """
        jobs = os.environ.get("VAE_KERAS_JOBS") or None
        if jobs and not jobs.isdecimal():
            raise ValueError(f"VAE_KERAS_JOBS is {jobs!r}, but must be a whole number")
        no_training = os.environ.get("VAE_KERAS_NO_TRAINING", "0") not in ("", "0")
        cluster = os.environ.get("VAE_KERAS_CLUSTER") or None
        return cls(int(jobs) if jobs else None, cluster, not no_training)

    def environment(self) -> dict[str, str]:
        """What another process reads it from."""
        jobs = "" if self.jobs is None else str(self.jobs)
        return {
            "VAE_KERAS_JOBS": jobs,
            "VAE_KERAS_CLUSTER": self.cluster or "",
            "VAE_KERAS_NO_TRAINING": "0" if self.train else "1",
        }


def n_jobs() -> int:
    """How many tasks to run at once: one a core, as far as memory allows; of GPUs, one each."""
    if devices := gpus():
        return len(devices)
    has_affinity = hasattr(os, "sched_getaffinity")  # not so on macOS
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min(cores, int(psutil.virtual_memory().available / MEMORY)))


def gpus() -> list[str]:
    """The GPUs of this machine, as ``CUDA_VISIBLE_DEVICES`` names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    return _nvidia_gpus()


@functools.cache  # they do not change, and asking takes a second
def _nvidia_gpus() -> list[str]:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return done.stdout.split() if done.returncode == 0 else []
    return []


def local(on_report: OnReport = lambda message: None, jobs: int | None = None) -> Executor:
    """The executor of this machine with `jobs` processes, by default as many as `n_jobs` says."""
    n = n_jobs() if jobs is None else jobs
    return LocalExecutor(n, on_report) if n else InThisProcess(on_report)


class InThisProcess(Executor):
    """Runs each task as it is submitted: for a debugger, or a single run."""

    def __init__(self, on_report: OnReport = lambda message: None):
        self._on_report = on_report

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """As in `concurrent.futures`, but that the future is done when it comes back."""
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
    """Up to `n` processes, begun when they are needed, each with one thread and one task at a time.

    A process that dies takes its own task with it, whose future raises `WorkerDied`, and no other;
    another process takes its place, as that of one that has grown too large. What tasks report
    comes in any thread. `shutdown` with ``cancel_futures=True`` kills what runs.
    """

    def __init__(self, n: int, on_report: OnReport = lambda message: None):
        self._threads = ThreadPoolExecutor(n, thread_name_prefix="task")
        self._on_report, self._mine = on_report, threading.local()
        self._lock, self._closed = threading.Lock(), False
        self._processes: set[subprocess.Popen] = set()
        self._devices, self._slots = gpus(), itertools.count()

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """As in `concurrent.futures`; `fn` must be a module's function, and all of it picklable."""
        return self._threads.submit(self._run, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As in `concurrent.futures`; the processes end."""
        self._threads.shutdown(wait and not cancel_futures, cancel_futures=cancel_futures)
        if wait or cancel_futures:
            with self._lock:
                self._closed = True
                for process in self._processes:
                    process.kill()  # idle now, or to be cancelled
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
            if psutil.Process(process.pid).memory_info().rss > RECYCLED_ABOVE:
                self._mine.worker = None
                connection.close()  # which ends it
        if kind == "error":
            raise content
        return content

    def _begin(self) -> tuple[subprocess.Popen, Connection]:
        with self._lock:
            if self._closed:
                raise WorkerDied("it was shut down")
            ours, theirs = Pipe()
            environment = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
            if self._devices:
                device = self._devices[self._mine.slot % len(self._devices)]
                # Not all of its memory, which more processes may share if they are asked for.
                environment |= {"CUDA_VISIBLE_DEVICES": device, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
            process = subprocess.Popen(
                [sys.executable, "-m", "vae_keras.reproduction.worker", str(theirs.fileno())],
                env=os.environ | environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for whoever submits, who then ends all
            )
            theirs.close()
            self._processes.add(process)
            return process, ours


def _how(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


def translated(error: Exception) -> Exception:
    """`WorkerDied` where Dask gave a task up, since its workers died of it; else the error."""
    if type(error).__name__ == "KilledWorker":
        return WorkerDied("its workers died again and again, so Dask gave it up")
    return error


def check_cluster(address: str) -> None:
    """Raises ClusterError where no Dask scheduler answers at `address`."""
    _client(address).close(timeout=5)


def _client(address):
    try:
        import dask
        from distributed import Client
    except ImportError as error:
        raise ClusterError('a cluster needs Dask: pip install "vae-keras[cluster]"') from error
    # Each task brings its data, so that no worker's death loses what others need.
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
    try:
        return Client(address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address}: {error}") from error


def _is_there(page):
    """A scheduler names a dashboard also where it has none."""
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(page, timeout=2):
        return True
    return False


@contextlib.contextmanager
def cluster(address: str, on_report: OnReport = lambda message: None) -> Iterator[Executor]:
    """The executor of the Dask scheduler at `address`. Raises ClusterError where there is none."""
    client = _client(address)
    try:
        client.subscribe_topic(TOPIC, lambda event: on_report(event[1]))
        if _is_there(client.dashboard_link):
            print(f"Dask's dashboard: {client.dashboard_link}", flush=True)
        yield client.get_executor()
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            client.close(timeout=5)
