"""Keras models with a `train_step` of their own, and the classes that a further one is made of.

A class inherits all that stands before it: `Trainer`, a Keras model with a fast `fit`;
`LatentVariableModel`, p(z) p(x|z); `AutoEncoder`, with q(z|x) and the lower bound; and the
algorithms. The docstring of each says what a subclass must have; `datapoints` takes x from what
Keras passes to a `train_step`.
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
