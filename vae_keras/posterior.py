"""Draws from the exact posterior p(z|x) by Hamiltonian Monte Carlo, with TFP.

A model here is anything with `decode(z)` and `prior`, continuous over vectors; where it has
`encode(x)` as well, the chains begin there.
"""

import hashlib
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from vae_keras import _checks, _noise
from vae_keras.datasets import intensities

tfd = tfp.distributions
BATCH = 1000  # datapoints whose chains run in one compiled program
SMALLEST = 8  # of them, at least
CANDIDATES = 500  # draws from the prior, of which a chain takes one to begin at
SHORTEST = 0.5  # a move takes this share of the step size, or more


class Chains(NamedTuple):
    """What HMC drew: `z` (S, N, d), with `log_prob` (S, N) as the function given has it.

    `acceptance` (N,): the rate after burn-in. `step_size` (N,).
    """

    z: tf.Tensor
    log_prob: tf.Tensor
    acceptance: tf.Tensor
    step_size: tf.Tensor


class Jittered(tfp.mcmc.HamiltonianMonteCarlo):
    """HMC whose moves take a random share of the step size, `SHORTEST` to 1, one for all chains.

    On a Gaussian, moves of one length can last half a period: then each one ends at the mirror
    image of its start, and the chain explores nothing, however many of its moves it accepts. Needs
    `store_parameters_in_results=True`.
    """

    def one_step(self, current_state, previous_kernel_results, seed=None):
        """As TFP's."""
        seed_share, seed_move = tf.unstack(tfp.random.split_seed(seed))
        share = tf.random.stateless_uniform([], seed_share, SHORTEST, 1.0)
        step_size = previous_kernel_results.accepted_results.step_size
        shortened = _with_step_size(previous_kernel_results, step_size * share)
        z, results = super().one_step(current_state, shortened, seed=seed_move)
        return z, _with_step_size(results, step_size)


def _with_step_size(results, step_size):
    return results._replace(accepted_results=results.accepted_results._replace(step_size=step_size))


def hmc(
    log_prob,
    start: tf.Tensor,
    n_samples: int,
    *,
    seed,
    leapfrog_steps: int = 4,
    burn_in: int = 150,
    target: float = 0.9,
) -> Chains:
    """Hamiltonian Monte Carlo with TFP, a chain a datapoint, all at once.

    `log_prob`: (N, d) -> (N,), up to a constant, one density a row. `start`: (N, d). During burn-in
    the step size of each chain is adapted to the acceptance rate `target`, then held; each move
    takes a random share of it.
    """
    kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
        Jittered(
            log_prob, step_size=tf.fill([tf.shape(start)[0], 1], 0.1),
            num_leapfrog_steps=leapfrog_steps, store_parameters_in_results=True,
        ),
        num_adaptation_steps=int(0.8 * burn_in),
        target_accept_prob=target,
    )  # fmt: skip

    def trace(_, results):
        move = results.inner_results
        return move.accepted_results.target_log_prob, move.log_accept_ratio, results.new_step_size

    z, (log_probs, log_accept, step_size) = tfp.mcmc.sample_chain(
        n_samples, start, kernel=kernel, num_burnin_steps=burn_in, trace_fn=trace, seed=seed
    )
    acceptance = tf.reduce_mean(tf.exp(tf.minimum(log_accept, 0.0)), axis=0)
    return Chains(z, log_probs, acceptance, step_size[-1, :, 0])


def draw(model, x, n_samples: int, *, seed: int = 0, **options) -> Chains:
    """Draw from p(z|x) by HMC for each datapoint of x, (N, *input); options as `hmc` has them.

    Raises ValueError for a decoder without a gradient in z, data that do not fit the model, or a
    seed that is no non-negative integer.
    """
    _checks.check_movable(model)
    x = _checks.checked_data(x, model)

    def program(x, seed):
        return chains(model, x, n_samples, seed, **options)

    settings = ("draw", n_samples, *sorted(options.items()))
    made = compiled(model, settings, program)
    axes = Chains(z=1, log_prob=1, acceptance=0, step_size=0)
    return Chains(*in_batches(made, x, lambda batch: _noise.at(seed, 1 + batch), axes))


def chains(model, x: tf.Tensor, n_samples: int, seed, **options) -> Chains:
    """As `draw`, for use in a compiled program, of intensities x."""
    seed_start, seed_chain = tf.unstack(tfp.random.split_seed(seed))
    start = begin(model, x, seed_start)
    return hmc(lambda z: log_joint(model, x, z), start, n_samples, seed=seed_chain, **options)


def log_joint(model, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """log p(x, z), (...,), of z (..., N, d) for x (N, *input)."""
    return model.prior.log_prob(z) + model.decode(z).log_prob(x)


def begin(model, x: tf.Tensor, seed) -> tf.Tensor:
    """Where the chains of x begin, (N, d): a draw from the encoder, roughly one from p(z|x) else.

    Without an encoder each takes one of a few hundred draws from the prior, with probability in
    proportion to p(x|z).
    """
    if hasattr(model, "encode"):
        return model.encode(x).sample(seed=seed)
    seed_prior, seed_choice = tf.unstack(tfp.random.split_seed(seed))
    z = model.prior.sample(CANDIDATES, seed=seed_prior)
    log_likelihood = tf.map_fn(lambda one: model.decode(one[None]).log_prob(x), z)
    choice = tfd.Categorical(logits=tf.transpose(log_likelihood)).sample(seed=seed_choice)
    return tf.gather(z, choice)


# ------------------------------------------------------------------------------ compiled programs


# Attributes that Keras gives a model as it trains.
OF_TRAINING = {
    "built", "compiled", "history", "loss", "optimizer", "predict_function", "steps_per_execution",
    "stop_evaluating", "stop_predicting", "stop_training", "test_function", "train_function",
    "unrolled_steps_per_execution",
}  # fmt: skip


class _Programs(dict):
    """What was compiled for a model, among its attributes: it goes when the model goes."""

    def __reduce__(self):
        return _Programs, ()  # a copy of the model, or one that is pickled, compiles its own


def compiled(model, settings: tuple, program):
    """`program` compiled by XLA, or what an earlier call made of it for `model` and `settings`.

    It follows the values of variables, wherever they are, and is made anew where an attribute of
    the model was replaced, or a number or an array in one. What else may change, deeper within, is
    to be a variable. A model without a `__dict__`, as a named tuple, has it compiled at each call.
    """
    made = tf.function(program, jit_compile=True)
    if not hasattr(model, "__dict__"):
        return made
    programs = vars(model).setdefault("_programs", _Programs())
    leaves = list(_leaves(model))
    now = [_identity(leaf) for leaf in leaves]
    key = id(model), settings  # a shallow copy has the very programs of the original
    if key not in programs or programs[key][0] != now:
        programs[key] = now, leaves, made  # the leaves too, lest their ids be used again
    return programs[key][-1]


def _leaves(model):
    """What a program has read once and for all: each attribute's name, and what is in it."""
    for name, value in vars(model).items():
        trained = isinstance(model, keras.Model) and (name[0] == "_" or name in OF_TRAINING)
        kept = isinstance(value, keras.Layer | tfd.Distribution) or not trained
        if kept and not isinstance(value, _Programs):
            yield name
            yield from _inside(value)


def _inside(value):
    if isinstance(value, list | tuple):
        for one in value:
            yield from _inside(one)
    elif isinstance(value, dict):
        yield from _inside(list(value.items()))
    else:
        yield value


def _identity(leaf):
    """Equal for one object, and for numbers, strings and arrays of one value."""
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.dtype.str, leaf.shape, hashlib.sha256(leaf.tobytes()).digest()
    return (type(leaf), leaf) if isinstance(leaf, int | float | str) else id(leaf)


def in_batches(program, x, seed_of, axes) -> list[tf.Tensor]:
    """What `program(x, seed)` gives, of `BATCH` datapoints at a time; `axes`: theirs, of each part.

    `seed_of(i)`: the i-th batch's seed. A smaller batch is filled up with rows of its own to a
    power of two, so that data of all lengths make eight programs at most.
    """
    parts = []
    for i in range(-(-len(x) // BATCH)):
        batch = intensities(x[i * BATCH : (i + 1) * BATCH])
        n = len(batch)
        size = min(BATCH, max(SMALLEST, 2 ** (n - 1).bit_length()))
        values = program(tf.gather(batch, tf.range(size) % n), seed_of(i))
        parts.append(
            [v[(slice(None),) * axis + (slice(n),)] for v, axis in zip(values, axes, strict=True)]
        )
    return [tf.concat(v, axis) for v, axis in zip(zip(*parts, strict=True), axes, strict=True)]
