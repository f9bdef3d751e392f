"""The paper's models, trained and shipped with the package: they need no training or network.

`reproduce/pretrained.py` took each from a stored run of the paper's experiments. It is an ordinary
Keras file, uncompiled, with weights in half precision (`about` gives their quality). They were
trained on pixels of byte / 256, and `about` measures them on such. Pixels as uint8 are read as
byte / 255, which raises AEVB's test bound of digits by 0.1 nats (2 latent variables) to 0.7 (20).

`full-vb-mnist-10d` and `mcem-mnist-3d` learned from 1,000 digits, with 100 hidden units. The other
models of digits learned from 50,000, with 500. So compare the test bound of `full-vb-mnist-10d`
only with that of AEVB on the same 1,000 digits, which is similar (`fig_full_vb`). It is measured
with decoder weights drawn from q(theta).
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
    """List the names of all models, sorted: algorithm, data set, latent dimensions.

    >>> from vae_keras import pretrained
    >>> "aevb-mnist-2d" in pretrained.names()
    True
    """
    return sorted(_all())


def about(name: str) -> dict[str, Any]:
    """Describe a model: its origin, and its quality on the real data.

    Args:
        name: one of `names()`.

    Returns:
        A dict: `experiment`, its settings; `samples`, the training samples that it evaluated;
        `pixels`; `trained_on`, `hours` and `made_by`. In nats per datapoint of the whole test set:
        `lower_bound` with the stored weights, and `lower_bound_of_the_run` in full precision. Monte
        Carlo EM has no bound, but `marginal_log_likelihood` of the first 1,000 test points by
        appendix D.

    Raises:
        ValueError: for an unknown name.

    >>> from vae_keras import pretrained
    >>> pretrained.about("aevb-mnist-2d")["pixels"]
    'byte / 256'
    """
    _check(name)
    return json.loads(json.dumps(_all()[name]))  # a copy for the caller


def load(name: str) -> models.LatentVariableModel:
    """Load a trained model. It is not compiled.

    Adagrad's sums are not shipped, and without them its first steps are large: to train further,
    compile with small steps, for example `keras.optimizers.Adam(1e-4)`.

    Args:
        name: one of `names()`.

    Returns:
        A `VAE`, `WakeSleep`, `FullVB` or `MonteCarloEM`.

    Raises:
        ValueError: for an unknown name.

    >>> from vae_keras import pretrained
    >>> pretrained.load("aevb-mnist-2d").sample(3, mean=True).shape
    (3, 784)
    """
    _check(name)
    return keras.saving.load_model(FOLDER / f"{name}.keras")


def _check(name: str) -> None:
    if name not in _all():
        raise ValueError(f"there is no trained model {name!r}: one of {', '.join(names())}")
