"""What each part of a training step costs: TensorFlow's profiler over XLA's own operations.

    .venv/bin/python benchmarks/speed/profile_step.py

On a CPU threads share the work, so the parts add up to more than the time of a step; on a GPU the
operations are its kernels, and the host's part comes on top. Writes profile_step.csv, or
profile_step_gpu.csv. Real data only.
"""

import collections
import os
import re
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
STEPS = 100
PARTS = {  # of XLA's operations, by the name of their TensorFlow operation
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
    program = next(folder.glob("*walk*pu_after_optimizations.txt")).read_text()
    with tf.profiler.experimental.Profile(
        str(folder), tf.profiler.experimental.ProfilerOptions(host_tracer_level=3)
    ):
        vae.fit(x, verbose=0)

    space = xplane_pb2.XSpace.FromString(next(folder.rglob("*.xplane.pb")).read_bytes())
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    table = pd.DataFrame(parts(space, program, STEPS), columns=["part", "ms_a_step", "operations"])
    table.to_csv(HERE / f"profile_step{'_gpu' * on_gpu}.csv", index=False)
    print(table.to_string(index=False))
    print(f"one step without the profiler: {taken / STEPS * 1e3:.3f} ms")


def parts(space, program: str, steps: int) -> list[tuple[str, float, int]]:
    """Each part of a step, its milliseconds and its operations, the longest first.

    `space`: the profiler's record of `steps` steps; `program`: XLA's program, as text.
    """
    sources = dict(re.findall(r"%(\S+) = .*metadata={(.*?)(?: source_file|})", program))
    milliseconds, operations = collections.Counter(), collections.Counter()
    on_gpu = [plane for plane in space.planes if "GPU" in plane.name]
    for plane in on_gpu or space.planes:
        for event in (event for line in plane.lines for event in line.events):
            name = _operation(plane, event)
            if f"%{name} = " in program:
                part = part_of(name, sources.get(name, ""))
                milliseconds[part] += event.duration_ps / 1e9 / steps
                operations[part] += 1 / steps
    digits = 3 if on_gpu else 2
    return [
        (part, round(t, digits), round(operations[part])) for part, t in milliseconds.most_common()
    ]


def _operation(plane, event):
    """XLA's name of the operation: on a CPU the event's, on a GPU a statistic of the kernel."""
    for stat in event.stats:
        if "GPU" in plane.name and plane.stat_metadata[stat.metadata_id].name == "hlo_op":
            return stat.str_value or plane.stat_metadata[stat.ref_value].name
    return plane.event_metadata[event.metadata_id].name


def part_of(name: str, source: str) -> str:
    """The part of a step to which XLA's operation `name`, made from `source`, belongs."""
    if name.startswith(("MatMul", "gemm_fusion")):
        return "matrix products"
    if name.startswith("copy"):
        return "copies of weights"
    for part, pattern in PARTS.items():
        if re.search(pattern, source):
            return part
    return "all else"


if __name__ == "__main__":
    main()
