"""Trained models to take: the paper's, shipped with the package, without training or network.

Each is a model of this kit as `reproduce/pretrained.py` took it from a stored run of the paper's
experiments: an ordinary Keras file, uncompiled, its weights stored in half precision (which
`about` says the worth of). They learned from pixels of byte / 256.
"""

import functools
import json
from pathlib import Path
from typing import Any

import keras

from vae_keras import models

__all__ = ["about", "load", "names"]

FOLDER = Path(__file__).parent / "trained"
PROVENANCE = "models.json"


@functools.cache
def _all() -> dict[str, dict[str, Any]]:
    return json.loads((FOLDER / PROVENANCE).read_text())


def names() -> list[str]:
    """The names of all models, sorted: algorithm, data set, latent dimensions.

    >>> "aevb-mnist-2d" in names()
    True
    """
    return sorted(_all())


def about(name: str) -> dict[str, Any]:
    """How the model came about, and what it is worth on the real data.

    `experiment`, its settings; `samples`, the training samples that it evaluated; `pixels`;
    `trained_on`, `hours` and `made_by`; and, in nats per datapoint of the whole test set with
    the stored weights, `lower_bound`, beside `lower_bound_of_the_run` in full precision; of Monte
    Carlo EM, which has no bound, `marginal_log_likelihood` of the first 1,000 test points by
    appendix D. Raises ValueError for an unknown name.

    >>> about("aevb-mnist-2d")["pixels"]
    'byte / 256'
    """
    _check(name)
    return json.loads(json.dumps(_all()[name]))  # the caller's own


def load(name: str) -> models.LatentVariableModel:
    """The trained model `name`, one of `names()`. Raises ValueError for another.

    It is not compiled, and Adagrad's sums are not shipped, without which its first steps are long
    ones: to train it further, compile it with small steps, as of `keras.optimizers.Adam(1e-4)`.

    >>> load("aevb-mnist-2d").sample(3, mean=True).shape
    (3, 784)
    """
    _check(name)
    return keras.saving.load_model(FOLDER / f"{name}.keras")


def _check(name: str) -> None:
    if name not in _all():
        raise ValueError(f"there is no trained model {name!r}: one of {', '.join(names())}")
