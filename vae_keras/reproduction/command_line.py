"""The commands of ``python -m vae_keras``."""

import argparse
import sys

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


def run(chosen: argparse.Namespace) -> int:
    """Run the command that `arguments.parse` returned; returns the exit status."""
    if chosen.command == "runs":
        return show_runs() if chosen.drop is None else drop_runs(chosen.drop)
    if chosen.command == "data":
        return datasets.report()
    if chosen.command == "claims":
        return show_claims()
    execution = chosen.execution
    try:
        if execution.cluster and execution.train:
            executor.check_cluster(execution.cluster)
        return notebooks.run(
            chosen.only or paths.NAMES,
            chosen.preset,
            chosen.force,
            chosen.figures_dir or paths.figures(presets.label(chosen.preset)),
            execution,
        )
    except executor.ClusterError as error:
        print(f"{error}. {_stored()}", file=sys.stderr)
        return 1
    except (OSError, datasets.DataError) as error:
        print(f"Stopped: {error}.", file=sys.stderr)
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
        "unfinished ones: start the same command again to continue."
    )


def show_runs() -> int:
    """List the stored runs; returns 0."""
    found = store.records()
    print(f"{len(found)} runs in {paths.shown(store.runs_folder())}")
    for key, run in found.items():
        state = run["state"]
        if run.get("recipe", experiments.RECIPE) != experiments.RECIPE:
            state += ", by another version of vae_keras, with a different recipe"
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
    """Print which claims hold, and how near the curves are. Returns 1 without figures, else 0."""
    folder = paths.figures("paper")
    try:
        tables = [pd.read_csv(folder / name) for name in claims.TABLES.values()]
    except OSError as error:
        print(
            f"{error}: the committed figures are only in a checkout of the project", file=sys.stderr
        )
        return 1
    print(claims.markdown(claims.card(*tables)), end="\n\n")
    print(claims.markdown(claims.agreement(*tables)))
    shown = (f"figure {of}: {paths.shown(folder / name)}" for of, name in claims.TABLES.items())
    print(f"\nPoints: from {claims.FROM:,} training samples on. Tables: {', '.join(shown)}.")
    return 0


def drop_runs(name: str) -> int:
    """Delete the named run, or "all" of them; returns 1 if one could not be deleted, else 0."""
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
