"""Train the runs that figures need, and run the notebooks of outdated figures with papermill."""

import contextlib
import functools
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import filelock
import nbformat
import yaml

from vae_keras import _files, datasets
from vae_keras.reproduction import executor, paths, presets, provenance, runs, store
from vae_keras.reproduction.executor import Execution
from vae_keras.reproduction.settings import FIGURES, Pictures, Runs, Settings


def run(names: list[str], preset: str, force: bool, folder: Path, execution: Execution) -> int:
    """Run the notebooks of figures that are not up to date; print a table; return 1 on a failure.

    All missing runs are trained together, those of the figures that need the least first. Each
    notebook starts as soon as its own runs are finished. If `execution` does not train, all figures
    are redrawn from the runs as they are. The figures go to `folder`, the executed notebooks to
    ``notebooks/<preset>/`` in the store.

    Raises KeyboardInterrupt, with nothing left running, if this process is interrupted or
    terminated, OSError if a folder is not writable, and ClusterError if no scheduler answers.
    """
    names = list(dict.fromkeys(names))
    executed = paths.results() / "notebooks" / presets.label(preset)
    for place in (folder, executed):
        try:
            _files.check_writable(place)
        except OSError as error:
            raise OSError(
                f"{place} cannot be written ({error.strerror}): set VAE_KERAS_RESULTS to a "
                "folder for runs and notebooks, and --figures-dir to one for figures"
            ) from error
    chosen = {name: FIGURES[name](preset=preset, figures_dir=str(folder)) for name in names}
    force = force or not execution.train
    stale = [s for s in chosen.values() if force or not provenance.is_fresh(s, folder)]
    rows = dict.fromkeys(names, ("fresh", 0.0, ""))
    jobs = executor.n_jobs() if execution.jobs is None else execution.jobs
    jobs = min(max(1, jobs), max(1, len(stale)))
    environment = execution.environment() | {datasets.ANNOUNCED: _missing_data(stale)}
    with (
        _Notebooks(environment, side_by_side=jobs > 1) as notebooks,
        ThreadPoolExecutor(jobs) as pool,
    ):
        make = functools.partial(_make, force=force, executed=executed, notebooks=notebooks)
        drawn: dict[str, Future] = {}

        def draw(settings: Settings) -> None:
            drawn[settings.name] = pool.submit(make, settings, folder)

        try:
            failed = _train(stale, execution, draw) if execution.train else {}
            for settings in stale:
                if settings.name not in failed and settings.name not in drawn:
                    draw(settings)
            rows |= {name: ("FAILED", 0.0, why) for name, why in failed.items()}
            rows |= {name: future.result() for name, future in drawn.items()}
        except BaseException:
            notebooks.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    print(f"\n{'figure':<24} {'state':<7} {'time':>7}")
    for name, (state, seconds, why) in rows.items():
        print(f"{name:<24} {state:<7} {seconds:6.0f}s  {why}".rstrip())
    print(f"The figures are in {paths.shown(folder)}", flush=True)
    return int(any(state == "FAILED" for state, _, _ in rows.values()))


def _train(
    figures: list[Settings], execution: Execution, ready: Callable[[Settings], None]
) -> dict[str, str]:
    """Train all runs that the figures need; returns the figures that failed, and why.

    `ready` is called with each figure as soon as its runs are finished.
    """
    chosen: dict[str, tuple[Settings, Runs]] = {}
    failed: dict[str, str] = {}
    for settings in figures:
        try:
            needed = settings.runs()
            runs.check(needed)
            chosen[settings.name] = settings, needed
        except (datasets.DataError, store.StoreError) as error:
            failed[settings.name] = str(error)
    why, waiting = "", dict(chosen)

    def look():
        for name, (settings, needed) in list(waiting.items()):
            if all(store.is_finished(e.key, e.samples) for e, _ in needed):
                del waiting[name]
                ready(settings)

    # Pictures first, because curves need more runs: something can be seen soon.
    in_turn = sorted(
        chosen.values(),
        key=lambda one: (not isinstance(one[0], Pictures), len(one[1])),
    )
    look()
    if everything := [
        pair for _, needed in in_turn for pair in sorted(needed, key=lambda p: -p[0].cost)
    ]:
        try:
            runs.run_all(everything, in_turn=True, execution=execution, meanwhile=look)
        except executor.ClusterError:
            raise
        except Exception as error:  # of one run or several; the others are stored
            why = "; ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    look()
    return failed | dict.fromkeys(waiting, why)


def _make(
    settings: Settings, folder: Path, *, force: bool, executed: Path, notebooks: "_Notebooks"
) -> tuple[str, float, str]:
    """Run one notebook unless another process did; returns state, seconds and reason of failure."""
    name = settings.name
    began = time.perf_counter()
    lock = filelock.FileLock(executed / f".{name}.lock")
    try:
        held = lock.acquire(blocking=False)
    except filelock.Timeout:
        _say(f"{name}: waiting for another process, which draws it")
        held = lock.acquire(poll_interval=0.5, cancel_check=notebooks.stopping.is_set)
    with held:
        if not force and provenance.is_fresh(settings, folder):  # the other process has drawn it
            return "fresh", 0.0, ""
        preset = settings.preset
        _say(f"{name}, preset {preset}")
        if folder == paths.figures(presets.label(preset)) and not provenance.is_committed(name):
            folder = paths.figures("custom")  # where `figures.save` puts figures of changed code
        values = {"preset": preset, "figures_dir": str(folder)}
        why = notebooks.execute(name, values, executed / f"{name}.ipynb")
    return ("FAILED" if why else "made"), time.perf_counter() - began, why


class _Notebooks:
    """The running notebooks: processes in sessions of their own, which Ctrl-C does not reach.

    `environment`: additional environment variables. `side_by_side`: several run at once, so each
    has one thread, and each line of output is prefixed with the name. Within its context, SIGTERM
    and SIGHUP raise KeyboardInterrupt.
    """

    def __init__(self, environment: dict[str, str], side_by_side: bool):
        self._environment, self.side_by_side = environment, side_by_side
        self.stopping = threading.Event()
        self._running: set[subprocess.Popen] = set()

    def __enter__(self):
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._before[number] = signal.signal(number, signal.default_int_handler)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def execute(self, name: str, values: dict, output: Path) -> str:
        """Run ``reproduce/<name>.ipynb`` with these parameters; returns why it failed, or ""."""
        command = [
            sys.executable, "-m", "papermill", "--no-progress-bar", "--stdout-file", "-",
            "--parameters_yaml", yaml.safe_dump(values), "--kernel", "python3",
            str(paths.NOTEBOOKS / f"{name}.ipynb"), str(output),
        ]  # fmt: skip
        # On a GPU it takes no more memory than it needs: others train there.
        more = {"PYTHONUNBUFFERED": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        environment = os.environ | self._environment | more
        if self.side_by_side:
            environment |= {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
        log = output.with_suffix(".log")
        with open(log, "wb") as file:
            if self.stopping.is_set():
                return "interrupted"
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.side_by_side else None,
                stderr=file,  # papermill's traceback, and messages of TensorFlow's C++ code
                env=environment,
                cwd=paths.ROOT,
                start_new_session=True,
            )
            self._running.add(process)
            if self.stopping.is_set():  # `stop` ran before the process was added
                self.stop()
            if self.side_by_side:
                _print_labelled(name, process.stdout)
            failed = process.wait()
            self._running.discard(process)
        return _failure(output, log) if failed else ""

    def stop(self) -> None:
        """Kill all; kernels end with their papermill, and the store is consistent at any time."""
        self.stopping.set()
        for process in list(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _print_labelled(name: str, stream: Any) -> None:
    for line in io.TextIOWrapper(stream, "utf-8", "replace"):  # which ends a line at \r, too
        if line.strip():
            _say(f"{name}: {line.rstrip()}")


def _say(line: str) -> None:
    """Print a line from a thread: `print` could mix lines, as it writes the newline separately."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _failure(output: Path, log: Path) -> str:
    """The error in an executed notebook, else the last line of papermill's traceback."""
    with contextlib.suppress(OSError, ValueError, nbformat.reader.NotJSONError):
        for cell in nbformat.read(output, as_version=4).cells:
            for error in (o for o in cell.get("outputs", []) if o.output_type == "error"):
                return f"{error.ename}: {error.evalue} (see {paths.shown(output)})"
    lines = log.read_text(errors="replace").split("\n")
    return f"{next(filter(None, reversed(lines)), 'no error message')} (see {paths.shown(log)})"


def _missing_data(figures: list[Settings]) -> str:
    """Look for the data once for all notebooks; report and return the names of missing data."""
    needed = {real for settings in figures for real in settings.learns_from}
    if not figures or not presets.read(figures[0].preset)["allow_embedded"] or not needed:
        return ""
    missing = datasets.stand_ins(needed)
    if missing:
        print(datasets.sentence(missing), file=sys.stderr, flush=True)
    datasets.announced.update(missing)
    return ",".join(missing)
