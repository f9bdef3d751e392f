"""Imports TensorFlow without what it writes about itself each time: importing this does it.

That there is no GPU, and which instructions it uses, is a red box above every lesson in a notebook.
TF_CPP_MIN_LOG_LEVEL is set to 3, which silences TensorFlow's C++ code, where it is not set (0 shows
all), and the lines that come before that is read are dropped. So is the warning of functions traced
again and again: each model has its own, traced once, but TensorFlow counts those of all models
together. Errors and warnings in Python pass.
"""

import os
import re
import sys
import tempfile

_START_UP = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|I0000 .*(port|cudart_stub)\.cc"
)


def _import():
    import keras  # noqa: F401
    import tensorflow
    import tensorflow_probability  # noqa: F401

    tensorflow.get_logger().addFilter(
        lambda record: "triggered tf.function retracing" not in record.getMessage()
    )


def _without_start_up_lines(work):
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            work()
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            log.seek(0)
            os.write(2, b"".join(line for line in log if not _START_UP.match(line)))


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_without_start_up_lines(_import)
