"""The GPUs of this machine: which there are, why one is not used, and how processes share one."""

import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

RUNS_PER_GPU = 16  # at once, as measured with the Multi-Process Service: docs/speed.md
CONTROL = "nvidia-cuda-mps-control"  # starts and ends the service
SERVICE = "/tmp/nvidia-mps"  # where a service that runs already has its pipes


def names() -> list[str]:
    """The GPUs that TensorFlow uses, as ``CUDA_VISIBLE_DEVICES`` names them."""
    return [] if why_unused() else _visible()


def why_unused() -> str:
    """A sentence: why TensorFlow does not use a GPU of this machine. "" if it does, or none is."""
    return _why_unused() if _visible() else ""


@functools.cache
def _why_unused():
    import tensorflow as tf  # here: the processes of an executor may do without

    if tf.config.list_physical_devices("GPU"):
        return ""
    if not tf.sysconfig.get_build_info()["is_cuda_build"]:
        why = "this TensorFlow was built without CUDA"
    elif importlib.util.find_spec("nvidia") is None:
        why = (
            "CUDA's libraries are not installed. `.venv/bin/python -m pip install "
            '"tensorflow[and-cuda]"` installs them'
        )
    else:
        why = "with TF_CPP_MIN_LOG_LEVEL=0 it prints the reason when it is imported"
    return f"TensorFlow does not use the GPU of this machine: {why}."


def _visible():
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    return _installed()


@functools.cache  # asking takes a second
def _installed():
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return done.stdout.split() if done.returncode == 0 else []
    return []


def at_once(most: int) -> int:
    """How many runs to train at once on the GPUs, at most `most`; at least one per GPU.

    Several share one if NVIDIA's Multi-Process Service is installed.
    """
    n = len(names())
    return max(n, min(most, n * RUNS_PER_GPU)) if shutil.which(CONTROL) else n


@contextlib.contextmanager
def shared(processes: int) -> Iterator[dict[str, str] | None]:
    """Let `processes` share the GPUs by NVIDIA's Multi-Process Service, within this context.

    Yields the environment variables that the processes need: none if there is a GPU for each, or
    if the service runs already. Yields None, after printing a sentence, if it cannot be started.
    """
    runs_already = "CUDA_MPS_PIPE_DIRECTORY" in os.environ or os.path.exists(SERVICE)
    if not 0 < len(names()) < processes or runs_already:
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        control = functools.partial(
            subprocess.run,
            env=os.environ | environment,
            capture_output=True,
            timeout=20,
            check=True,
        )
        try:
            control([CONTROL, "-d"])
        except (OSError, subprocess.SubprocessError) as error:
            sentence = f"NVIDIA's Multi-Process Service could not be started: {error}"
            print(sentence, file=sys.stderr, flush=True)
            yield None
            return
        try:
            yield environment
        finally:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                control([CONTROL], input=b"quit\n")
