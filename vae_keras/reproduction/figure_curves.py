"""Read curves from the figures in ``figures/``, whose runs may no longer be in a store.

A figure's CSV has the curves; its JSON, written by `provenance.record`, has the runs.
"""

import dataclasses
import functools
import json
from pathlib import Path

import pandas as pd

from vae_keras.reproduction import measures, paths
from vae_keras.reproduction.experiments import MEASURES, RECIPE, Experiment

SETTINGS = [field.name for field in dataclasses.fields(Experiment)]


def record(experiment: Experiment, data_sha256: str) -> dict | None:
    """The record of a run from the figure with most of its curve; None if no figure shows it.

    Most: as far as `experiment` goes, then by the points at which such a run is measured. Runs on
    other data or of another recipe do not count.
    """
    found = [
        of_figure[experiment.key]
        for file in sorted(paths.FIGURES.glob("*/*.json"))
        for of_figure in [_records(file, file.stat().st_mtime_ns)]
        if of_figure.get(experiment.key, {}).get("data_sha256") == data_sha256
    ]
    end = experiment.reached(experiment.samples)
    grid = {experiment.reached(n) for n in measures.grid(experiment, end)}

    def shown(record: dict) -> tuple[int, int]:
        points = grid & {row["samples"] for row in record["curve"]}
        return min(record["samples"], end), len(points)

    return max(found, key=shown, default=None)


@functools.lru_cache(maxsize=64)
def _records(file: Path, changed_ns: int) -> dict[str, dict]:
    """Key -> record of each run of a figure; empty if the file is no figure or has no curves."""
    try:
        runs = json.loads(file.read_text())["runs"]
        table = pd.read_csv(file.with_suffix(".csv")) if runs else None
        records = [_record(run, table) for run in runs if run["recipe"] == RECIPE]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return dict(records)


def _record(run: dict, table: pd.DataFrame) -> tuple[str, dict]:
    experiment = Experiment(**{name: run[name] for name in SETTINGS})
    same = {name: run[name] for name in (*MEASURES[experiment.measure], "seed")}
    rows = table[(table[list(same)] == pd.Series(same)).all(axis=1)]
    went = {key: run[key] for key in run if key not in (*SETTINGS, "data", "embedded")}
    about = {
        "experiment": dataclasses.asdict(experiment),
        "samples": experiment.reached(experiment.samples),
        "curve": json.loads(rows.to_json(orient="records")),
    }
    return experiment.key, went | about
