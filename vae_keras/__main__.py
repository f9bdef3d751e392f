"""``python -m vae_keras figures`` runs the figure notebooks; ``reproduce/run_all.sh`` calls it."""

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path

from vae_keras import paths, presets, provenance

# What a kernel's C++ code writes stays out of the notebook, and its remark on TCP unsaid.
QUIET = ["--IPKernelApp.capture_fd_output=False", "--IPKernelApp.log_level=ERROR"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    available = sorted(file.stem for file in paths.NOTEBOOKS.glob("fig_*.ipynb"))
    parser = argparse.ArgumentParser(prog="python -m vae_keras")
    command = parser.add_subparsers(dest="command", required=True).add_parser("figures")
    command.add_argument("--preset", default="quick", choices=presets.NAMES)
    command.add_argument("--only", action="append", choices=available, metavar="FIGURE")
    command.add_argument("--force", action="store_true")
    command.add_argument("--figures-dir", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    return run_figures(chosen.only or available, chosen.preset, chosen.force, chosen.figures_dir)


def run_figures(names: list[str], preset: str, force: bool, figures_dir: Path | None) -> int:
    """Run each notebook that is not fresh, then print a table; 1 if any failed, else 0."""
    folder = figures_dir or paths.FIGURES
    rows = []
    for number, name in enumerate(names, 1):
        values = presets.read(preset)
        values = {key: values[key] for key in provenance.parameter_names(name) if key in values}
        if not force and provenance.is_fresh(name, values, folder):
            rows.append((name, "fresh", 0.0, _shown(folder / f"{name}.png")))
            continue
        print(f"[{number}/{len(names)}] {name}, preset {preset}", flush=True)
        began = time.perf_counter()
        failure = _execute(name, values | ({"figures_dir": str(folder)} if figures_dir else {}))
        state = "FAILED" if failure else "made"
        where = failure or _shown(folder / f"{name}.png")
        rows.append((name, state, time.perf_counter() - began, where))
    print(f"\n{'figure':<22} {'state':<7} {'time':>7}  where (or why not)")
    for name, state, seconds, where in rows:
        print(f"{name:<22} {state:<7} {seconds:6.0f}s  {where}")
    return int(any(state == "FAILED" for _, state, _, _ in rows))


def _execute(name: str, values: dict) -> str | None:
    """Run one notebook in a kernel of its own; returns why it failed, or None."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import papermill  # not needed to say that everything is fresh

    output = paths.results() / "notebooks" / f"{name}.ipynb"
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _terminal(output.with_suffix(".log")) as stream:
            papermill.execute_notebook(
                paths.NOTEBOOKS / f"{name}.ipynb",
                output,
                values,
                kernel_name="python3",
                progress_bar=False,
                stdout_file=sys.stdout,
                stderr_file=stream,
                extra_arguments=QUIET,
            )
    except papermill.PapermillExecutionError as error:
        return f"{error.ename}: {error.evalue} (see {_shown(output)})"
    except Exception as error:  # whatever it is, the other figures are still to be made
        return f"{type(error).__name__}: {error}"
    return None


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


def _shown(path: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(paths.ROOT)) if path.is_relative_to(paths.ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
