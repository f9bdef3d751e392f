"""The project's scripts, which are no modules of the package, to be called by a test."""

import importlib.util

from vae_keras.reproduction import paths


def load(file):
    """The module that a file of the project makes, `file` from its root: "docs/tables.py"."""
    path = paths.ROOT / file
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
