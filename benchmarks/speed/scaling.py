"""How long each preset trains, by the number of workers: benchmarks/speed/scaling.csv.

python benchmarks/speed/scaling.py    # from the runs of `quick` in the store, with real data

A run is a task. Each of `quick` was timed when it was trained; a run of another preset takes as
long per training sample as the run of `quick` with the same data, model and algorithm. The longest
begins first. The hours follow if no worker slows another: each has its own core and enough memory.
They cannot be less than the longest run takes.
"""

import heapq
import json
from pathlib import Path

import pandas as pd

from vae_keras.reproduction import store
from vae_keras.reproduction.experiments import Experiment
from vae_keras.reproduction.settings import FIGURES

TABLE = Path(__file__).with_name("scaling.csv")
PRESETS = ("quick", "standard", "paper")
WORKERS = (1, 2, 4, 16, 64)
BEGIN_S = 4.0  # seconds of a run before its time is counted: loading data, building the model
KIND = ("dataset", "algorithm", "latent_dim", "hidden")  # a longer run of one kind takes as long


def makespan(lengths: list[float], workers: int) -> float:
    """Seconds until all tasks are done, the longest first, each by the first free worker."""
    free = [0.0] * workers
    for length in sorted(lengths, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + length)
    return max(free)


def per_sample() -> dict[tuple, float]:
    """Kind of a run -> seconds per training sample, by the longest run of it in the store."""
    found: dict[tuple, tuple[int, float]] = {}
    for file in store.runs_folder().glob("*/run-*.json"):
        run = json.loads(file.read_bytes())
        kind = tuple(run["experiment"][name] for name in KIND)
        found[kind] = max(
            found.get(kind, (0, 0.0)), (run["samples"], run["training_s"] / run["samples"])
        )
    return {kind: seconds for kind, (_, seconds) in found.items()}


def tasks(preset: str) -> list[Experiment]:
    """The runs of a preset: of two that differ in length only, the longer."""
    longest: dict[str, Experiment] = {}
    for figure in FIGURES.values():
        for run, _ in figure(preset=preset).runs():
            longest[run.key] = max(run, longest.get(run.key, run), key=lambda one: one.samples)
    return list(longest.values())


def main() -> None:
    """Write the table, and print it."""
    seconds, rows = per_sample(), []
    for preset in PRESETS:
        lengths = [
            BEGIN_S + run.samples * seconds[tuple(getattr(run, name) for name in KIND)]
            for run in tasks(preset)
        ]
        hours = [makespan(lengths, workers) / 3600 for workers in WORKERS]
        rows.append((preset, len(lengths), *(round(each, 3) for each in hours)))
    table = pd.DataFrame(rows, columns=["preset", "runs", *map(str, WORKERS)])
    table.to_csv(TABLE, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
