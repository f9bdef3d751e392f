"""A Keras 3 reproduction of Kingma and Welling's Auto-Encoding Variational Bayes."""

import importlib
from typing import TYPE_CHECKING

from vae_keras.version import __version__

if TYPE_CHECKING:
    from vae_keras import bounds, datasets, distributions, layers, networks
    from vae_keras.callbacks import NonFiniteBoundError
    from vae_keras.models.vae import VAE

__all__ = [
    "VAE",
    "NonFiniteBoundError",
    "__version__",
    "bounds",
    "datasets",
    "distributions",
    "layers",
    "networks",
]
_HOME = {"VAE": "models.vae", "NonFiniteBoundError": "callbacks"}


def __getattr__(name: str):
    # Imported when first asked for: the command line answers without waiting for TensorFlow.
    if name not in __all__:
        raise AttributeError(f"module 'vae_keras' has no attribute {name!r}")
    module = importlib.import_module(f"vae_keras.{_HOME.get(name, name)}")
    return getattr(module, name) if name in _HOME else module
