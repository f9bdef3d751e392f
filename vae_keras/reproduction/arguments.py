"""Parse the command line, without importing TensorFlow, which takes seconds."""

import argparse
import os
from pathlib import Path

from vae_keras.reproduction import executor, paths, presets

ABOUT = "Draw the paper's figures, and manage their runs. reproduce/run_all.sh calls `figures`."


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The parsed options; for the command ``figures`` also an `Execution`, as `execution`.

    Exits with a message if the arguments are invalid.
    """
    parser = argparse.ArgumentParser(prog="python -m vae_keras", description=ABOUT)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("figures", help="draw the figures that are not up to date")
    command.add_argument(
        "--preset",
        default="quick",
        help=f"{', '.join(presets.NAMES)} (default: quick), or a YAML file of your own",
    )
    command.add_argument(
        "--only",
        action="append",
        choices=paths.NAMES,
        metavar="FIGURE",
        help="draw this figure, e.g. fig_manifold; may be repeated",
    )
    command.add_argument(
        "--jobs", type=int, help="how many runs to train at once (default: as suits the machine)"
    )
    command.add_argument(
        "--cluster", metavar="ADDRESS", help="a Dask scheduler; the runs are trained on its workers"
    )
    command.add_argument("--force", action="store_true", help="redraw figures that are up to date")
    command.add_argument(
        "--no-training",
        action="store_true",
        help="train nothing; draw what the stored runs contain",
    )
    command.add_argument(
        "--figures-dir", type=_folder, help="where to write (default: figures/<preset>/)"
    )
    command = commands.add_parser("runs", help="list the stored runs, or delete some")
    command.add_argument("--drop", metavar="RUN", help="the name of a run to delete, or 'all'")
    commands.add_parser("claims", help="print which of the paper's claims our figures support")
    commands.add_parser("data", help="find or download each data set, and say where it is")
    chosen = parser.parse_args(arguments)
    for name in ("VAE_KERAS_RESULTS", "VAE_KERAS_DATA"):  # inherited by processes in other folders
        if os.environ.get(name):
            os.environ[name] = str(_folder(os.environ[name]))
    if chosen.command == "figures":
        _complete(chosen, parser)
    return chosen


def _complete(chosen, parser):
    if chosen.jobs is not None and chosen.jobs < 0:
        parser.error(
            f"--jobs is {chosen.jobs}, but must be at least 1, or 0 to train in this process"
        )
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
            f"{paths.ROOT} has no figure notebooks: clone the project and call its "
            "reproduce/run_all.sh"
        )


def _folder(name: str) -> Path:
    """An absolute path, because processes in other folders use it too."""
    return Path(name).expanduser().absolute()
