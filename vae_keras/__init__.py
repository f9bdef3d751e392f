"""A Keras 3 library of Kingma and Welling's Auto-Encoding Variational Bayes.

It has the models, and one module for each of their components. Import both from here:

    from vae_keras import VAE, layers, networks

Names that are not in a module's ``__all__``, and modules whose name begins with an underscore,
may change without notice. The paper's experiments are in `vae_keras.reproduction`, which is not
imported here.
"""

import sys

__version__ = "1.0.0"

# `python -m vae_keras` imports this package before it parses its arguments, which needs no
# TensorFlow. `__main__` then imports what it needs.
if sys.orig_argv[1:3] != ["-m", "vae_keras"]:
    import vae_keras._import_tensorflow  # noqa: F401  (before anything that imports TensorFlow)
    from vae_keras import (
        bounds,
        callbacks,
        datasets,
        distributions,
        families,
        layers,
        marginal_likelihood,
        mcmc,
        models,
        networks,
        pixels,
        pretrained,
        priors,
        traversals,
    )
    from vae_keras.callbacks import NonFiniteBoundError
    from vae_keras.models import VAE, FullVB, MonteCarloEM, WakeSleep

__all__ = [
    "VAE",
    "FullVB",
    "MonteCarloEM",
    "NonFiniteBoundError",
    "WakeSleep",
    "__version__",
    "bounds",
    "callbacks",
    "datasets",
    "distributions",
    "families",
    "layers",
    "marginal_likelihood",
    "mcmc",
    "models",
    "networks",
    "pixels",
    "pretrained",
    "priors",
    "traversals",
]
