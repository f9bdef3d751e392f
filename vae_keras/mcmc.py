"""Draws from the exact posterior p(z|x) by Hamiltonian Monte Carlo, with TFP.

A model is any object with `decode(z)` and `prior`, continuous over vectors. If it also has
`encode(x)`, the chains start at draws from the encoder.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from vae_keras import _checks, _noise, _programs, _supports
from vae_keras.typing import Codes, Data, Decoding, Draws, Minibatch, PerDatapoint, PerDraw, Seed

__all__ = ["Chains", "draw", "hmc", "log_joint"]  # other modules use the rest

_CANDIDATES = 500  # draws from the prior, one of which becomes a chain's start
_SHORTEST = 0.5  # the smallest share of the step size that a move takes


class Chains(NamedTuple):
    """S draws per datapoint from HMC.

    Args:
        z: (S, N, d).
        log_prob: (S, N), the log density at each z.
        acceptance: (N,), the acceptance rate after burn-in, from 0 to 1.
        step_size: (N,), the step size of each chain, in the units of z.

    >>> import numpy as np
    >>> from vae_keras.mcmc import Chains
    >>> found = Chains(np.zeros((50, 3, 2)), np.zeros((50, 3)), np.ones(3), np.ones(3))
    >>> found.z.mean(axis=0).shape  # E[z|x] of each of 3 datapoints, in 2 dimensions
    (3, 2)
    """

    z: Draws
    log_prob: PerDraw
    acceptance: PerDatapoint
    step_size: PerDatapoint


class Jittered(tfp.mcmc.HamiltonianMonteCarlo):
    """HMC whose moves take a random share of the step size, `_SHORTEST` to 1, one for all chains.

    On a Gaussian, moves of fixed length can last half a period: each then ends at the mirror image
    of its start, and the chain explores nothing, even if it accepts all moves. Needs
    `store_parameters_in_results=True`.
    """

    def one_step(
        self, current_state: Codes, previous_kernel_results: Any, seed: Seed | None = None
    ) -> tuple[Codes, Any]:
        """As in TFP."""
        seed_share, seed_move = tf.unstack(tfp.random.split_seed(seed))
        share = tf.random.stateless_uniform([], seed_share, _SHORTEST, 1.0)
        step_size = previous_kernel_results.accepted_results.step_size
        shortened = _with_step_size(previous_kernel_results, step_size * share)
        z, results = super().one_step(current_state, shortened, seed=seed_move)
        return z, _with_step_size(results, step_size)


def _with_step_size(results, step_size):
    return results._replace(accepted_results=results.accepted_results._replace(step_size=step_size))


def hmc(
    log_prob: Callable[[Codes], PerDatapoint],
    start: Codes,
    n_samples: int,
    *,
    seed: Seed,
    leapfrog_steps: int = 4,
    burn_in: int = 150,
    target: float = 0.9,
) -> Chains:
    """Run Hamiltonian Monte Carlo with TFP, one chain per datapoint, in parallel.

    A move from z draws a momentum r from N(0, I) and takes `leapfrog_steps` along the path on which
    the energy H is constant:

        H = |r|^2 / 2 - log p(z)
        dz/dt = r
        dr/dt = grad log p(z)

    It is accepted with probability min(1, exp(H - H')), where H' is the energy at its end. The step
    size of each move is a random share, from 0.5 to 1, of its chain's step size. Call it in a
    `tf.function`: eagerly, each move takes tens of milliseconds.

    Args:
        log_prob: (N, d) -> (N,), one log density per row, up to a constant.
        start: (N, d), where the chains begin.
        n_samples: S, the number of draws of each chain.
        seed: TFP's, two integers.
        leapfrog_steps: the number in each move.
        burn_in: the number of first moves that are discarded. In the first 80% of them, each
            chain's step size is adapted; it is then fixed.
        target: the acceptance rate to which the step size is adapted.

    Returns:
        `Chains`.

    >>> import tensorflow as tf
    >>> from tensorflow_probability import distributions as tfd
    >>> from vae_keras.mcmc import hmc
    >>> far, start = tfd.MultivariateNormalDiag([3.0], [0.1]), tf.fill((1, 1), 3.0)
    >>> chains = tf.function(hmc)(far.log_prob, start, 200, seed=(0, 0))
    >>> print(chains.z.shape, tf.reduce_mean(chains.z).numpy().round(1))
    (200, 1, 1) 3.0
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


def draw(model: Decoding, x: Data, n_samples: int, *, seed: int = 0, **options: Any) -> Chains:
    """Draw from the posterior p(z|x) by HMC, for each datapoint.

        p(z|x) = p(z) p(x|z) / p(x)

    Args:
        model: any object with `decode(z)` and `prior`.
        x: the data, (N, *input).
        n_samples: S, the number of draws for each datapoint.
        seed: seed of the noise, a non-negative integer.
        options: `leapfrog_steps`, `burn_in` and `target`, as in `hmc`.

    Returns:
        `Chains`, whose `log_prob` is log p(x, z), nats.

    Raises:
        ValueError: for a decoder without a gradient in z, data that do not fit the model, and an
            invalid seed.

    >>> from tensorflow_probability import distributions as tfd
    >>> from vae_keras.mcmc import draw
    >>> class Model:  # z from N(0, 1), x from N(z, 1): so p(z|x) = N(x / 2, 1 / 2)
    ...     prior = tfd.MultivariateNormalDiag([0.0])
    ...     def decode(self, z):
    ...         return tfd.MultivariateNormalDiag(z)
    >>> chains = draw(Model(), [[2.0]], n_samples=5000)
    >>> print(chains.z.shape, chains.z.numpy().mean().round(1), chains.z.numpy().var().round(1))
    (5000, 1, 1) 1.0 0.5
    """
    _checks.check_movable(model)
    x = _supports.checked_data(x, model)
    settings = ("draw", n_samples, *sorted(options.items()))
    made = _programs.compiled(
        model, settings, lambda x, seed: chains(model, x, n_samples, seed, **options)
    )
    axes = Chains(z=1, log_prob=1, acceptance=0, step_size=0)
    return Chains(*_programs.in_batches(made, x, lambda batch: _noise.at(seed, 1 + batch), axes))


def chains(model: Decoding, x: Minibatch, n_samples: int, seed: Seed, **options: Any) -> Chains:
    """As `draw`, but for intensities x and for use in a compiled program."""
    seed_start, seed_chain = tf.unstack(tfp.random.split_seed(seed))
    start = begin(model, x, seed_start)
    return hmc(lambda z: log_joint(model, x, z), start, n_samples, seed=seed_chain, **options)


def log_joint(model: Decoding, x: Minibatch, z: Codes | Draws) -> PerDatapoint | PerDraw:
    """Compute the log joint density of x and z.

        log p(x, z) = log p(z) + log p(x|z)

    Args:
        model: any object with `decode(z)` and `prior`.
        x: (N, *input), values of the decoder's distribution, not uint8 pixels.
        z: (..., N, d).

    Returns:
        A tensor (..., N), nats.

    >>> import tensorflow as tf
    >>> from tensorflow_probability import distributions as tfd
    >>> from vae_keras.mcmc import log_joint
    >>> class Model:
    ...     prior = tfd.MultivariateNormalDiag([0.0])
    ...     def decode(self, z):
    ...         return tfd.MultivariateNormalDiag(z)
    >>> log_joint(Model(), tf.zeros((1, 1)), tf.zeros((1, 1))).numpy().round(2)  # -log(2 pi)
    array([-1.84], dtype=float32)
    """
    return model.prior.log_prob(z) + model.decode(z).log_prob(x)


def begin(model: Decoding, x: Minibatch, seed: Seed) -> Codes:
    """Starts for the chains of x, (N, d): draws from the encoder, or else roughly from p(z|x).

    Without an encoder, each start is one of a few hundred draws from the prior, chosen with
    probability proportional to p(x|z).
    """
    if hasattr(model, "encode"):
        return model.encode(x).sample(seed=seed)
    seed_prior, seed_choice = tf.unstack(tfp.random.split_seed(seed))
    z = model.prior.sample(_CANDIDATES, seed=seed_prior)
    log_likelihood = tf.map_fn(lambda one: model.decode(one[None]).log_prob(x), z)
    choice = tfd.Categorical(logits=tf.transpose(log_likelihood)).sample(seed=seed_choice)
    return tf.gather(z, choice)
