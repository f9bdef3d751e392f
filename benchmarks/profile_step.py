"""What each part of a training step costs: TensorFlow's profiler over XLA's own operations.

    .venv/bin/python benchmarks/profile_step.py

Two threads share the work, so the parts add up to more than the time of a step. Writes
benchmarks/profile_step.csv. Real data only; on a CPU only.
"""

import collections
import os
import re
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
STEPS = 100
PARTS = {  # of XLA's operations, by the name that their TensorFlow operation has
    "noise epsilon, z": "/sample/|StatelessRandom",
    "Adagrad": "Assign(Add|Sub)VariableOp",
    "weight decay": "MatVec|while/(Square|Sum)",
    "reconstruction and its gradient": "log_prob|while/AddN_2",
    "tanh": "Tanh",
    "gather, uint8 to float": "Gather|truediv|Cast",
}


def main():
    """Profile a `fit` of 100 minibatches; see the module."""
    folder = Path(tempfile.mkdtemp())
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["XLA_FLAGS"] = f"--xla_dump_to={folder} --xla_dump_hlo_as_text"

    import pandas as pd
    import tensorflow as tf
    from sizes import build
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    vae, x = build("mnist", 500, 20)
    x = x[: 100 * STEPS]
    for _ in range(3):
        began = time.perf_counter()
        vae.fit(x, verbose=0)
        taken = time.perf_counter() - began
    program = next(folder.glob("*walk*.cpu_after_optimizations.txt")).read_text()
    with tf.profiler.experimental.Profile(
        str(folder), tf.profiler.experimental.ProfilerOptions(host_tracer_level=3)
    ):
        vae.fit(x, verbose=0)

    space = xplane_pb2.XSpace.FromString(next(folder.rglob("*.xplane.pb")).read_bytes())
    sources = dict(re.findall(r"%(\S+) = .*metadata={(.*?)(?: source_file|})", program))
    milliseconds, operations = collections.Counter(), collections.Counter()
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            name = plane.event_metadata[event.metadata_id].name
            if f"%{name} = " in program:
                part = part_of(name, sources.get(name, ""))
                milliseconds[part] += event.duration_ps / 1e9 / STEPS
                operations[part] += 1 / STEPS
    table = pd.DataFrame(
        [(part, round(t, 2), round(operations[part])) for part, t in milliseconds.most_common()],
        columns=["part", "ms_a_step", "operations"],
    )
    table.to_csv(HERE / "profile_step.csv", index=False)
    print(table.to_string(index=False))
    print(f"one step without the profiler: {taken / STEPS * 1e3:.2f} ms")


def part_of(name: str, source: str) -> str:
    """The part of a step to which XLA's operation `name`, made from `source`, belongs."""
    if name.startswith("MatMul"):
        return "matrix products"
    if name.startswith("copy"):
        return "copies of weights"
    for part, pattern in PARTS.items():
        if re.search(pattern, source):
            return part
    return "all else"


if __name__ == "__main__":
    main()
