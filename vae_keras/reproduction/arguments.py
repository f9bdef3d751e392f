"""What the command line is asked for. Reading it imports no TensorFlow, which takes seconds."""

import argparse
import os
from pathlib import Path

from vae_keras.reproduction import executor, paths, presets

ABOUT = """``figures`` runs the figure notebooks, ``runs`` looks after stored runs, ``claims`` says
which claims of the paper hold in the committed figures, ``data`` where the data sets are, or what
each source answered. ``reproduce/run_all.sh`` calls the first."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options by name: of figures also `execution`, and `figures_dir` where they go.

    Ends the process, with a sentence, where they cannot be followed.
    """
    parser = argparse.ArgumentParser(prog="python -m vae_keras", description=ABOUT)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("figures", help="run the figure notebooks that are not fresh")
    command.add_argument(
        "--preset", default="quick", help=f"{', '.join(presets.NAMES)}, or a YAML file of your own"
    )
    command.add_argument("--only", action="append", choices=paths.NAMES, metavar="FIGURE")
    command.add_argument("--jobs", type=int, help="how many runs are trained at once")
    command.add_argument(
        "--cluster", metavar="ADDRESS", help="of a Dask scheduler that trains them"
    )
    command.add_argument("--force", action="store_true", help="draw also what is fresh")
    command.add_argument(
        "--no-training", action="store_true", help="draw the runs as far as they have come"
    )
    command.add_argument("--figures-dir", type=_folder, help="instead of figures/<preset>/")
    command = commands.add_parser("runs", help="list the stored runs, or drop some")
    command.add_argument("--drop", metavar="RUN", help="the name of a run, or 'all'")
    commands.add_parser("claims", help="which claims of the paper hold in figures/paper")
    commands.add_parser("data", help="say where the data sets are, or what each source answered")
    chosen = parser.parse_args(arguments)
    for name in ("VAE_KERAS_RESULTS", "VAE_KERAS_DATA"):  # processes elsewhere are told of them
        if os.environ.get(name):
            os.environ[name] = str(_folder(os.environ[name]))
    if chosen.command == "figures":
        _complete(chosen, parser)
    return chosen


def _complete(chosen, parser):
    if chosen.jobs is not None and chosen.jobs < 0:
        parser.error(f"--jobs is {chosen.jobs}, but must be at least 1, or 0: no other process")
    try:
        of_environment = executor.Execution.from_environment()
        chosen.execution = executor.Execution(
            of_environment.jobs if chosen.jobs is None else chosen.jobs,
            chosen.cluster or of_environment.cluster,
            of_environment.train and not chosen.no_training,
        )
        if chosen.preset not in presets.NAMES:
            chosen.preset = str(_folder(chosen.preset))
        presets.read(chosen.preset)
    except ValueError as error:
        parser.error(str(error))
    if not paths.NAMES:
        parser.error(
            f"the figure notebooks are in a checkout of the project, not in {paths.ROOT}: clone "
            "it, and call its reproduce/run_all.sh"
        )


def _folder(name: str) -> Path:
    """From where the user stands, whatever process writes there in the end."""
    return Path(name).expanduser().absolute()
