"""A Keras 3 reproduction of Kingma and Welling's Auto-Encoding Variational Bayes."""

import vae_keras.quiet_start  # noqa: F401  (before anything that imports TensorFlow)
from vae_keras import (
    bounds,
    datasets,
    distributions,
    families,
    layers,
    likelihood,
    networks,
    posterior,
    priors,
)
from vae_keras.callbacks import NonFiniteBoundError
from vae_keras.models.full_vb import FullVB
from vae_keras.models.monte_carlo_em import MonteCarloEM
from vae_keras.models.vae import VAE
from vae_keras.models.wake_sleep import WakeSleep
from vae_keras.version import __version__

__all__ = [
    "VAE",
    "FullVB",
    "MonteCarloEM",
    "NonFiniteBoundError",
    "WakeSleep",
    "__version__",
    "bounds",
    "datasets",
    "distributions",
    "families",
    "layers",
    "likelihood",
    "networks",
    "posterior",
    "priors",
]
