"""How much faster figure 2's runs are side by side than one after the other on all cores.

python benchmarks/speed/side_by_side.py [--samples 1000000] [--algorithms aevb wake_sleep]

Both ways train the same runs, each from an empty store, including set-up, compilation and
recording. One way is this process with as many threads as cores. The other is the local executor
with one process of one thread per core. Another number of threads rounds sums differently, and
training makes the difference grow. How far apart the bounds end is printed for each data set.
"""

import argparse
import os
import tempfile
import time

import pandas as pd
import tensorflow as tf

from vae_keras.reproduction import measures, paths, runs
from vae_keras.reproduction.settings import LowerBound

measured = 0.0  # seconds that this process has recorded


def timed(take):
    """`take`, with its time added to `measured`."""

    def wrapper(*args):
        global measured
        begun = time.perf_counter()
        rows = take(*args)
        measured += time.perf_counter() - begun
        return rows

    return wrapper


def main() -> None:
    """Train both ways, and print a table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10**6)
    parser.add_argument("--algorithms", nargs="+", default=["aevb", "wake_sleep"])
    asked = parser.parse_args()
    plan = LowerBound(samples=asked.samples, algorithms=asked.algorithms).runs()
    measures.measure = timed(measures.measure)
    # A task asks for one thread, and gets it if TensorFlow has not begun to compute.
    tf.zeros(())
    seconds, tables = {}, []
    for way, jobs in (("side by side", ""), ("one after the other", "0")):
        os.environ["VAE_KERAS_JOBS"] = jobs
        with tempfile.TemporaryDirectory() as folder, paths.results_in(folder):
            begun = time.perf_counter()
            found = runs.run_all(plan)
            seconds[way] = time.perf_counter() - begun
            tables.append(runs.table(found))
    table = pd.DataFrame({"seconds": pd.Series(seconds).round(1)})
    print(table.to_string())
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    assert threads == 0, f"one after the other had {threads} threads, not all"
    print(f"{len(plan)} runs of {asked.samples:,} samples: side by side", end=" ")
    print(f"{seconds['one after the other'] / seconds['side by side']:.2f} times as fast;", end=" ")
    print(f"recording was {measured / seconds['one after the other']:.1%} of one after the other")
    one, other = tables
    for name, rows in one.groupby("dataset"):
        apart = (rows["lower_bound"] - other.loc[rows.index, "lower_bound"]).abs()
        at_end = apart[rows["samples"] == rows["samples"].max()]
        print(f"{name}: the bounds differ by {apart.max():.2f} nats at most,", end=" ")
        print(f"{at_end.median():.2f} at the end of half of the runs")


if __name__ == "__main__":
    main()
