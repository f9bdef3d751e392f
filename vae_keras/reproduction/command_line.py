"""``python -m vae_keras figures`` runs the figure notebooks; ``runs`` lists and drops stored runs.

``data`` says where the data sets are, or what each source answered. ``reproduce/run_all.sh`` calls
the first.
"""

import argparse
import os
import sys
from pathlib import Path

from vae_keras import datasets
from vae_keras.reproduction import executor, experiments, notebooks, paths, presets, store, version


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m vae_keras", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("figures", help="run the figure notebooks that are not fresh")
    command.add_argument("--preset", default="quick", choices=presets.NAMES)
    command.add_argument("--only", action="append", choices=notebooks.NAMES, metavar="FIGURE")
    command.add_argument("--jobs", type=int, help="how many runs are trained at once")
    command.add_argument(
        "--cluster", metavar="ADDRESS", help="of a Dask scheduler that trains them"
    )
    command.add_argument("--force", action="store_true", help="draw also what is fresh")
    command.add_argument("--figures-dir", type=Path, help="instead of figures/<preset>/")
    command = commands.add_parser("runs", help="list the stored runs, or drop some")
    command.add_argument("--drop", metavar="RUN", help="the name of a run, or 'all'")
    commands.add_parser("data", help="say where the data sets are, or what each source answered")
    chosen = parser.parse_args(arguments)
    if chosen.command == "runs":
        return show_runs() if chosen.drop is None else drop_runs(chosen.drop)
    if chosen.command == "data":
        return datasets.report()
    if chosen.jobs is not None:
        if chosen.jobs < 0:
            parser.error(f"--jobs is {chosen.jobs}, but must be at least 1, or 0: no other process")
        os.environ["VAE_KERAS_JOBS"] = str(chosen.jobs)
    if chosen.cluster:
        os.environ["VAE_KERAS_CLUSTER"] = chosen.cluster
    if not notebooks.NAMES:
        parser.error(
            f"the figure notebooks are in a checkout of the project, not in {paths.ROOT}: clone "
            "it, and call its reproduce/run_all.sh"
        )
    try:
        return notebooks.run(
            chosen.only or notebooks.NAMES,
            chosen.preset,
            chosen.force,
            chosen.figures_dir or paths.figures(chosen.preset),
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
