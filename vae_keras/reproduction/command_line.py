"""``python -m vae_keras figures`` runs the figure notebooks; ``runs`` looks after stored runs.

``claims`` says which claims of the paper hold in the committed figures, ``data`` where the data
sets are, or what each source answered. ``reproduce/run_all.sh`` calls the first.
"""

import argparse
import os
import sys
from pathlib import Path

import pandas as pd

from vae_keras import datasets
from vae_keras.reproduction import (
    claims,
    executor,
    experiments,
    notebooks,
    paths,
    presets,
    store,
    version,
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vae_keras", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("figures", help="run the figure notebooks that are not fresh")
    command.add_argument(
        "--preset", default="quick", help=f"{', '.join(presets.NAMES)}, or a YAML file of your own"
    )
    command.add_argument("--only", action="append", choices=notebooks.NAMES, metavar="FIGURE")
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
    if chosen.command == "runs":
        return show_runs() if chosen.drop is None else drop_runs(chosen.drop)
    if chosen.command == "data":
        return datasets.report()
    if chosen.command == "claims":
        return show_claims()
    if chosen.jobs is not None and chosen.jobs < 0:
        parser.error(f"--jobs is {chosen.jobs}, but must be at least 1, or 0: no other process")
    try:
        of_environment = executor.Execution.from_environment()
        execution = executor.Execution(
            of_environment.jobs if chosen.jobs is None else chosen.jobs,
            chosen.cluster or of_environment.cluster,
            of_environment.train and not chosen.no_training,
        )
        if chosen.preset not in presets.NAMES:
            chosen.preset = str(_folder(chosen.preset))
        presets.read(chosen.preset)
    except ValueError as error:
        parser.error(str(error))
    if not notebooks.NAMES:
        parser.error(
            f"the figure notebooks are in a checkout of the project, not in {paths.ROOT}: clone "
            "it, and call its reproduce/run_all.sh"
        )
    try:
        if execution.cluster and execution.train:
            executor.check_cluster(execution.cluster)
        return notebooks.run(
            chosen.only or notebooks.NAMES,
            chosen.preset,
            chosen.force,
            chosen.figures_dir or paths.figures(presets.label(chosen.preset)),
            execution,
        )
    except executor.ClusterError as error:
        print(f"{error}. {_stored()}", file=sys.stderr)
        return 1
    except (OSError, datasets.DataError) as error:
        print(f"Nothing was begun: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted. {_stored()}", file=sys.stderr)
        return 130


def _folder(name: str) -> Path:
    """From where the user stands, whatever process writes there in the end."""
    return Path(name).expanduser().absolute()


def _stored() -> str:
    found = store.records().values()
    finished = sum(run["state"] == "finished" for run in found)
    part_way = [run for run in found if run["state"] in ("stopped", "training")]
    return (
        f"{paths.shown(store.runs_folder())} holds {finished} finished runs and {len(part_way)} "
        "stopped on their way: start the same command again, and it goes on from there."
    )


def show_runs() -> int:
    """Print a table of the store; returns 0."""
    found = store.records()
    print(f"{len(found)} runs in {paths.shown(store.runs_folder())}")
    for key, run in found.items():
        state = run["state"]
        if run.get("recipe", experiments.RECIPE) != experiments.RECIPE:
            state += ", by another version of the kit, which trains otherwise"
        elif state != "unreadable" and (others := version.others(run)):
            state += f", by {others}"
        curve = run.get("curve", [])
        rows = [row for row in curve if row["samples"] == curve[-1]["samples"]]
        measure = run.get("experiment", {}).get("measure", "lower_bound")
        samples = run.get("samples") or (rows[-1]["samples"] if rows else 0)
        values = ", ".join(f"{row['split']} {row[measure]:.1f}" for row in rows)
        values = f"; at {rows[-1]['samples']:,}: {values} nats" if rows else ""
        print(f"{key:<60} {state}: {samples:,} samples{values}")
    return 0


def show_claims() -> int:
    """Print the card of claims; returns 1 where the figures are not there, else 0."""
    folder = paths.figures("paper")
    try:
        tables = [pd.read_csv(folder / name) for name in (claims.BOUNDS, claims.LIKELIHOODS)]
    except OSError as error:
        print(f"{error}: the committed figures are in a checkout of the project", file=sys.stderr)
        return 1
    print(claims.markdown(claims.card(*tables)))
    return 0


def drop_runs(name: str) -> int:
    """Delete the run of that name, or "all"; returns 1 where one could not be deleted, else 0."""
    status = 0
    names = list(store.records()) if name == "all" else [name]
    if not names:
        print(f"there is no run in {paths.shown(store.runs_folder())}")
    for key in names:
        try:
            store.drop(key)
            print(f"dropped {key}", flush=True)
        except (store.StoreError, OSError) as error:
            print(error, file=sys.stderr)
            status = 1
    return status
