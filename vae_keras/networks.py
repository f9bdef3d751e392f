"""Appendix C's networks: one hidden layer of tanh units, initial weights from N(0, 0.01^2).

The paper does not say whether 0.01 is a variance or a standard deviation. In its author's code of
the time it is the standard deviation, and output biases and the encoder's log variances start at 0.
All are functional Keras models from a flat vector to a distribution.
"""

import keras
import numpy as np

from vae_keras import _checks
from vae_keras.layers import Bernoulli, DiagonalGaussian, DistributionLayer, SigmoidMeanGaussian

__all__ = ["bernoulli_decoder", "gaussian_decoder", "gaussian_encoder", "mlp"]

STDDEV = 0.01  # of the initial weights


def mlp(
    n_inputs: int,
    hidden: int,
    head: DistributionLayer,
    name: str,
    seed: int | None = None,
    stddev: float = STDDEV,
) -> keras.Model:
    """Make a network with one hidden layer of tanh units, from x to a distribution.

        head(W_2 tanh(W_1 x + b_1) + b_2)

    Args:
        n_inputs: the size of x.
        hidden: the number of hidden units.
        head: a distribution layer, which sets the number of outputs.
        name: the name of the model.
        seed: seed of the initial weights. None: drawn from Python's generator.
        stddev: W_1, b_1 and W_2 are initialised from N(0, s^2) with s = `stddev`, b_2 at 0.

    Returns:
        A Keras model from (M, n_inputs) to the distribution of `head`, of batch shape (M,).

    Raises:
        ValueError: for sizes below 1, and for a `stddev` below 0.

    >>> from vae_keras.layers import Bernoulli
    >>> from vae_keras.networks import mlp
    >>> network = mlp(3, 8, Bernoulli(5), "network")
    >>> network.count_params()  # (3 + 1) * 8 + (8 + 1) * 5
    77
    """
    n_inputs = _checks.count(f"{name}: the number of inputs", n_inputs)
    hidden = _checks.count(f"{name}: the number of hidden units", hidden)
    if stddev < 0:
        raise ValueError(f"{name}: stddev is {stddev}, but must be at least 0")

    seeds = [None] * 3
    if seed is not None:
        seeds = np.random.SeedSequence(seed).generate_state(3).tolist()
    # Three, since an instance repeats its values for the same shape.
    w1, b1, w2 = (keras.initializers.RandomNormal(0.0, stddev, one) for one in seeds)
    inputs = keras.Input((n_inputs,))
    first = keras.layers.Dense(
        hidden, "tanh", kernel_initializer=w1, bias_initializer=b1, name="hidden"
    )
    second = keras.layers.Dense(head.params_size, kernel_initializer=w2, name="parameters")
    with keras.name_scope(name):  # the name of the weights in TensorBoard
        params = second(first(inputs))
    return keras.Model(inputs, head(params), name=name)


def gaussian_encoder(
    n_pixels: int,
    hidden: int,
    latent_dim: int,
    seed: int | None = None,
    stddev: float = STDDEV,
    log_variance_scale: float = 1.0,
) -> keras.Model:
    """Make the Gaussian encoder q(z|x), equation 9.

        q(z|x) = N(z; mu(x), diag sigma^2(x))

    The mean mu(x) and the log variances log sigma^2(x) are outputs of one `mlp`.

    Args:
        n_pixels: the size of x.
        hidden: the number of hidden units.
        latent_dim: d, the size of z.
        seed, stddev: as in `mlp`, but log sigma^2 starts at 0 for every x.
        log_variance_scale: s > 0 in log sigma^2 = s W h + b, where h are the hidden units. Adagrad
            moves all weights equally fast, so s scales how fast log sigma^2(x) changes.

    Returns:
        A Keras model from (M, n_pixels) to a Gaussian of batch shape (M,) over (latent_dim,).

    Raises:
        ValueError: for sizes below 1, a `stddev` below 0 and an s that is not above 0.

    >>> import tensorflow as tf
    >>> from vae_keras.networks import gaussian_encoder
    >>> q = gaussian_encoder(n_pixels=4, hidden=8, latent_dim=2)(tf.zeros((3, 4)))
    >>> print(q.batch_shape, q.event_shape)
    (3,) (2,)
    """
    if not log_variance_scale > 0:
        raise ValueError(
            f"encoder: log_variance_scale is {log_variance_scale}, but must be above 0"
        )
    head = DiagonalGaussian(latent_dim)
    (latent_dim,) = head.event_shape
    encoder = mlp(n_pixels, hidden, head, "encoder", seed, stddev)
    kernel = encoder.get_layer("parameters").kernel
    if log_variance_scale == 1:
        of_log_variance = np.zeros((hidden, latent_dim))
        kernel.assign(np.concatenate([kernel[:, :latent_dim], of_log_variance], axis=1))
        return encoder
    h = encoder.get_layer("hidden").output
    mean, log_variance = (
        keras.layers.Dense(latent_dim, kernel_initializer="zeros", name=name)
        for name in ("mean", "log_variance")
    )
    scaled = keras.layers.Rescaling(log_variance_scale)(h)
    with keras.name_scope("encoder"):
        params = keras.layers.Concatenate(name="parameters")([mean(h), log_variance(scaled)])
    mean.kernel.assign(kernel[:, :latent_dim])
    return keras.Model(encoder.input, head(params), name="encoder")


def bernoulli_decoder(
    latent_dim: int,
    hidden: int,
    n_pixels: int,
    seed: int | None = None,
    stddev: float = STDDEV,
) -> keras.Model:
    """Make the Bernoulli decoder p(x|z): independent pixels, equation 11.

        log p(x|z) = sum_i [x_i log y_i + (1 - x_i) log(1 - y_i)]
        y = sigmoid(W_2 tanh(W_1 z + b_1) + b_2)

    Args:
        latent_dim: d, the size of z.
        hidden: the number of hidden units.
        n_pixels: the size of x.
        seed, stddev: as in `mlp`.

    Returns:
        A Keras model from (M, latent_dim) to a distribution of batch shape (M,) over (n_pixels,).

    Raises:
        ValueError: as `mlp` does.

    >>> import tensorflow as tf
    >>> from vae_keras.networks import bernoulli_decoder
    >>> p = bernoulli_decoder(latent_dim=2, hidden=8, n_pixels=4)(tf.zeros((3, 2)))
    >>> print(p.log_prob(tf.ones(4)).numpy().round())  # untrained, near 4 log(1/2) = -2.8
    [-3. -3. -3.]
    """
    return mlp(latent_dim, hidden, Bernoulli(n_pixels), "decoder", seed, stddev)


def gaussian_decoder(
    latent_dim: int,
    hidden: int,
    n_pixels: int,
    seed: int | None = None,
    stddev: float = STDDEV,
) -> keras.Model:
    """Make the Gaussian decoder p(x|z): appendix C.2 with section 5's bounded mean.

        p(x|z) = N(x; sigmoid(a(z)), diag sigma^2(z))

    The numbers a(z) and the log variances log sigma^2(z) are outputs of one `mlp`.

    Args:
        latent_dim, hidden, n_pixels, seed, stddev: as in `bernoulli_decoder`.

    Returns:
        A Keras model from (M, latent_dim) to a Gaussian of batch shape (M,) over (n_pixels,).

    Raises:
        ValueError: as `mlp` does.

    >>> import tensorflow as tf
    >>> from vae_keras.networks import gaussian_decoder
    >>> p = gaussian_decoder(latent_dim=2, hidden=8, n_pixels=4)(tf.zeros((1, 2)))
    >>> print(p.mean().numpy().round(1), p.stddev().numpy().round())  # untrained
    [[0.5 0.5 0.5 0.5]] [[1. 1. 1. 1.]]
    """
    return mlp(latent_dim, hidden, SigmoidMeanGaussian(n_pixels), "decoder", seed, stddev)
