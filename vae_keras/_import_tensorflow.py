"""Imports TensorFlow without what it writes about itself each time: importing this does it.

That there is no GPU, and which instructions it uses, is a red box above every lesson in a notebook.
TF_CPP_MIN_LOG_LEVEL, where it is not set (0 shows all), is set to 3, which silences TensorFlow's
C++ code, and the lines that come before that is read are dropped. On a machine with a card it is 1:
there TensorFlow says why it does not use it. So is the warning of functions traced
again and again: each model has its own, traced once, but TensorFlow counts those of all models
together. Errors and warnings in Python pass.

Raises ImportError where Keras has another backend than TensorFlow.
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
    """Modules make 800,000 objects that stay to the end: looking through them again and again
    takes a quarter of an import, and a second when Python ends."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def _check_backend():
    """Before Keras is imported where it was not: that fails in its own way where jax is missing."""
    backend = sys.modules["keras"].config.backend() if "keras" in sys.modules else _backend_set()
    if backend != "tensorflow":
        raise ImportError(
            f"vae_keras needs Keras on TensorFlow, but Keras is set to {backend!r}: set the "
            "environment variable KERAS_BACKEND=tensorflow before Python starts, or "
            '"backend": "tensorflow" in ~/.keras/keras.json'
        )


def _backend_set():
    """What Keras will take, by its own rules."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    home = os.path.expanduser("~")
    folder = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    folder = os.path.expanduser(os.environ.get("KERAS_HOME", folder))
    try:
        with open(os.path.join(folder, "keras.json")) as file:
            return json.load(file).get("backend", "tensorflow")
    except (OSError, ValueError):  # none there, or none that can be read
        return "tensorflow"


def _without_start_up_lines(work):
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed: nobody reads what would be dropped
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
            with contextlib.suppress(OSError):  # stderr is full, or its reader gone
                os.write(2, b"".join(line for line in log if not _START_UP.match(line)))


def _flush():
    if sys.stderr is not None:
        sys.stderr.flush()


def _has_card():
    return any(map(os.path.exists, ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")))


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1" if _has_card() else "3")
_without_start_up_lines(_import)
