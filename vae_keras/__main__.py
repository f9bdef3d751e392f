"""``python -m vae_keras figures`` runs the figure notebooks; ``runs`` lists and drops stored runs.

``reproduce/run_all.sh`` calls the former.
"""

import argparse
import contextlib
import functools
import multiprocessing
import os
import re
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path

from vae_keras import paths, presets, provenance, store, training

# What a kernel's C++ code writes stays out of the notebook, and its remark on TCP unsaid.
QUIET = ["--IPKernelApp.capture_fd_output=False", "--IPKernelApp.log_level=ERROR"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    available = sorted(file.stem for file in paths.NOTEBOOKS.glob("fig_*.ipynb"))
    parser = argparse.ArgumentParser(prog="python -m vae_keras", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("figures", help="run the figure notebooks that are not fresh")
    command.add_argument("--preset", default="quick", choices=presets.NAMES)
    command.add_argument("--only", action="append", choices=available, metavar="FIGURE")
    command.add_argument("--jobs", type=int, default=1, help="notebooks side by side")
    command.add_argument("--force", action="store_true", help="draw also what is fresh")
    command.add_argument("--figures-dir", type=Path, help=argparse.SUPPRESS)
    command = commands.add_parser("runs", help="list the stored runs, or drop some")
    command.add_argument("--drop", metavar="RUN", help="the name of a run, or 'all'")
    chosen = parser.parse_args(arguments)
    if chosen.command == "runs":
        return show_runs() if chosen.drop is None else drop_runs(chosen.drop)
    if chosen.jobs < 1:
        parser.error(f"--jobs is {chosen.jobs}, but must be at least 1")
    names = chosen.only or available
    return run_figures(names, chosen.preset, chosen.force, chosen.figures_dir, chosen.jobs)


def run_figures(
    names: list[str], preset: str, force: bool, figures_dir: Path | None, jobs: int = 1
) -> int:
    """Run each notebook that is not fresh, then print a table; 1 if any failed, else 0."""
    folder = figures_dir or paths.FIGURES
    rows, running = {}, {}
    with _executor(min(jobs, len(names))) as executor:
        for number, name in enumerate(names, 1):
            values = presets.read(preset)
            values = {k: values[k] for k in provenance.parameter_names(name) if k in values}
            if not force and provenance.is_fresh(name, values, folder):
                rows[name] = ("fresh", 0.0, _shown(folder / f"{name}.png"))
                continue
            print(f"[{number}/{len(names)}] {name}, preset {preset}", flush=True)
            values |= {"figures_dir": str(folder)} if figures_dir else {}
            running[name] = executor.submit(_execute, name, values, labelled=jobs > 1)
    for name, future in running.items():
        failure, seconds = future.result()
        where = failure or _shown(folder / f"{name}.png")
        rows[name] = ("FAILED" if failure else "made", seconds, where)
    print(f"\n{'figure':<22} {'state':<7} {'time':>7}  where (or why not)")
    for name in names:
        state, seconds, where = rows[name]
        print(f"{name:<22} {state:<7} {seconds:6.0f}s  {where}")
    return int(any(state == "FAILED" for state, _, _ in rows.values()))


def _executor(jobs: int) -> Executor:
    """What runs notebooks: one after the other, or side by side with the cores divided."""
    if jobs == 1:
        return _Here()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    spawn, threads = multiprocessing.get_context("spawn"), max(1, cores // jobs)
    return ProcessPoolExecutor(jobs, spawn, initializer=_limit_threads, initargs=(threads,))


def _limit_threads(threads):
    for variable in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ[variable] = str(threads)  # the kernels inherit them


class _Here(Executor):
    def submit(self, function, /, *args, **kwargs):
        future = Future()
        future.set_result(function(*args, **kwargs))
        return future


def _execute(name: str, values: dict, labelled: bool) -> tuple[str | None, float]:
    """Run one notebook in a kernel of its own; returns why it failed, or None, and the seconds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import papermill  # not needed to say that everything is fresh

    label = functools.partial(_Labelled, name) if labelled else lambda stream: stream
    output = paths.results() / "notebooks" / f"{name}.ipynb"
    output.parent.mkdir(parents=True, exist_ok=True)
    began, failure = time.perf_counter(), None
    try:
        with _terminal(output.with_suffix(".log")) as stream:
            papermill.execute_notebook(
                paths.NOTEBOOKS / f"{name}.ipynb",
                output,
                values,
                kernel_name="python3",
                progress_bar=False,
                stdout_file=label(sys.stdout),
                stderr_file=label(stream),
                extra_arguments=QUIET,
            )
    except papermill.PapermillExecutionError as error:
        failure = f"{error.ename}: {error.evalue} (see {_shown(output)})"
    except Exception as error:  # whatever it is, the other figures are still to be made
        failure = f"{type(error).__name__}: {error}"
    return failure, time.perf_counter() - began


class _Labelled:
    """A stream that writes whole lines, each after the name of its notebook."""

    def __init__(self, name: str, stream):
        self.name, self.stream, self.rest = name, stream, ""

    def write(self, text: str) -> None:
        *lines, self.rest = re.split(r"[\r\n]+", self.rest + text)
        for line in filter(str.strip, lines):
            self.stream.write(f"{self.name}: {line.rstrip()}\n")

    def flush(self) -> None:
        self.stream.flush()


@contextlib.contextmanager
def _terminal(log: Path):
    """A stream to the terminal, while what processes write to file descriptor 2 goes into `log`.

    TensorFlow's C++ code writes a dozen lines there at each start, which no variable stops.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(log, "wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        with os.fdopen(os.dup(terminal), "w") as stream:
            yield stream
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def show_runs() -> int:
    """Print a table of the store; returns 0."""
    found = store.records()
    print(f"{len(found)} runs in {_shown(store.runs_folder())}")
    for key, run in found.items():
        state = run["state"]
        if run.get("recipe", training.RECIPE) != training.RECIPE:
            state += ", by another version of the kit"
        rows = run.get("curve", [])[-2:]
        measure = run.get("experiment", {}).get("measure", "lower_bound")
        done = f"{rows[-1]['samples']:,} samples, " if rows else ""
        values = ", ".join(f"{row['split']} {row[measure]:.1f}" for row in rows)
        print(f"{key:<60} {state}: {done}{values}{' nats' if rows else ''}")
    return 0


def drop_runs(name: str) -> int:
    """Delete the run `name`, or all; returns 1 where one cannot be deleted, else 0."""
    status = 0
    for key in store.records() if name == "all" else [name]:
        try:
            store.drop(key)
            print(f"dropped {key}")
        except store.StoreError as error:
            print(error, file=sys.stderr)
            status = 1
    return status


def _shown(path: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(paths.ROOT)) if path.is_relative_to(paths.ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
