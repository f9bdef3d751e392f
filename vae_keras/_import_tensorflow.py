"""Imports TensorFlow without its start-up messages, when this module is imported.

These (no GPU, which CPU instructions it uses) would be a red box above every notebook lesson. If
TF_CPP_MIN_LOG_LEVEL is not set (0 shows all), it is set to 3, which silences TensorFlow's C++ code.
Lines printed before it is read are dropped. On a machine with a GPU it is set to 1: there
TensorFlow says why it does not use the GPU. Warnings of repeated retracing are dropped too: each
model traces its functions once, but TensorFlow counts those of all models together. Python errors
and warnings pass.

Raises ImportError if Keras has a backend other than TensorFlow.
"""

import contextlib
import gc
import json
import os
import re
import sys
import tempfile

_START_UP = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|I0000 .*(port|cudart_stub)\.cc"
)


def _import():
    _check_backend()
    with _no_garbage_looked_for():
        import keras  # noqa: F401
        import tensorflow
        import tensorflow_probability  # noqa: F401
    tensorflow.get_logger().addFilter(
        lambda record: "triggered tf.function retracing" not in record.getMessage()
    )


@contextlib.contextmanager
def _no_garbage_looked_for():
    """Pause garbage collection. Modules create 800,000 objects that live to the end: scanning them
    repeatedly takes a quarter of the import, and a second when Python ends."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def _check_backend():
    """Checks before Keras is imported, which fails with its own error if jax is missing."""
    backend = sys.modules["keras"].config.backend() if "keras" in sys.modules else _backend_set()
    if backend != "tensorflow":
        raise ImportError(
            f"vae_keras needs Keras on TensorFlow, but Keras is set to {backend!r}: set the "
            "environment variable KERAS_BACKEND=tensorflow before Python starts, or "
            '"backend": "tensorflow" in ~/.keras/keras.json'
        )


def _backend_set():
    """The backend that Keras will use, by its own rules."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    home = os.path.expanduser("~")
    folder = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    folder = os.path.expanduser(os.environ.get("KERAS_HOME", folder))
    try:
        with open(os.path.join(folder, "keras.json")) as file:
            return json.load(file).get("backend", "tensorflow")
    except (OSError, ValueError):  # missing or unreadable
        return "tensorflow"


def _without_start_up_lines(work):
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed
        return work()
    with tempfile.TemporaryFile() as log:
        _flush()
        os.dup2(log.fileno(), 2)
        try:
            work()
        finally:
            _flush()
            os.dup2(kept, 2)
            os.close(kept)
            log.seek(0)
            with contextlib.suppress(OSError):  # stderr is full, or has no reader
                os.write(2, b"".join(line for line in log if not _START_UP.match(line)))


def _flush():
    if sys.stderr is not None:
        sys.stderr.flush()


def _has_card():
    return any(map(os.path.exists, ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")))


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1" if _has_card() else "3")
_without_start_up_lines(_import)
