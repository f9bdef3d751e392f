"""How far training side by side scales: runs per hour by the number of workers.

python benchmarks/speed/scaling.py [--samples 1000000]    # of the runs in the store

Each run is a task whose length was measured when the store was filled, here with as many processes
as cores. The longest begins first. The printed numbers follow from these lengths if no worker slows
another: each has its own core and enough memory. The total cannot be shorter than the longest run.
"""

import argparse
import heapq
import json

import pandas as pd

from vae_keras.reproduction import store

WORKERS = (1, 2, 4, 16, 64)
BEGIN_S = 4.0  # seconds of a run before its time is counted: loading data, building the model


def makespan(lengths: list[float], workers: int) -> float:
    """Seconds until all tasks are done, the longest first, each by the first free worker."""
    free = [0.0] * workers
    for length in sorted(lengths, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + length)
    return max(free)


def main() -> None:
    """Print the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10**6)
    samples = parser.parse_args().samples
    lengths = [
        BEGIN_S + json.loads(file.read_bytes())["training_s"]
        for file in store.runs_folder().glob(f"*/run-{samples}.json")
    ]
    if not lengths:
        raise SystemExit(f"there is no run of {samples:,} samples in {store.runs_folder()}")
    rows = []
    for seeds in (1, 3):
        for workers in WORKERS:
            seconds = makespan(seeds * lengths, workers)
            rate = 3600 * seeds * len(lengths) / seconds
            rows.append((seeds, seeds * len(lengths), workers, round(seconds), round(rate)))
    columns = ["seeds", "runs", "workers", "seconds", "runs an hour"]
    print(pd.DataFrame(rows, columns=columns).to_string(index=False))
    print(f"the longest run: {max(lengths):.0f} s of {sum(lengths):.0f} s in all")


if __name__ == "__main__":
    main()
