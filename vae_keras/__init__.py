"""A Keras 3 reproduction of Kingma and Welling's Auto-Encoding Variational Bayes."""

from vae_keras import bounds, datasets, distributions, layers, likelihood, networks, posterior
from vae_keras.callbacks import NonFiniteBoundError
from vae_keras.models.monte_carlo_em import MonteCarloEM
from vae_keras.models.vae import VAE
from vae_keras.models.wake_sleep import WakeSleep
from vae_keras.version import __version__

__all__ = [
    "VAE",
    "MonteCarloEM",
    "NonFiniteBoundError",
    "WakeSleep",
    "__version__",
    "bounds",
    "datasets",
    "distributions",
    "layers",
    "likelihood",
    "networks",
    "posterior",
]
