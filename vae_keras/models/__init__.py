"""Keras models with their own `train_step`, and the base classes for further ones.

The base classes inherit from each other: `Trainer`, a Keras model with a fast `fit`;
`LatentVariableModel`, p(z) p(x|z); `AutoEncoder`, with q(z|x) and the lower bound. The algorithms
are their subclasses. Each docstring says what a subclass must have. `datapoints` extracts x from
the data that Keras passes to a `train_step`.
"""

from vae_keras.models.autoencoder import AutoEncoder
from vae_keras.models.full_vb import FullVB
from vae_keras.models.latent_variable import LatentVariableModel, datapoints
from vae_keras.models.monte_carlo_em import MonteCarloEM
from vae_keras.models.trainer import Trainer
from vae_keras.models.vae import VAE
from vae_keras.models.wake_sleep import WakeSleep

__all__ = [
    "VAE",
    "AutoEncoder",
    "FullVB",
    "LatentVariableModel",
    "MonteCarloEM",
    "Trainer",
    "WakeSleep",
    "datapoints",
]
