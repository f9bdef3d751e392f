"""The exact oracle: p(z) = N(0, I), p(x|z) = N(W z + b, s^2 I), where everything is known.

log p(x), the posterior, and the bound of any Gaussian q(z|x) = N(A x + c, diag exp(log_variance))
are in closed form, computed here in float64 with NumPy and SciPy alone.
"""

import keras
import numpy as np
import scipy.stats
from tensorflow_probability import distributions as tfd

import vae_keras
from vae_keras.layers import DiagonalGaussian, TFPDistribution


class LinearGaussian:
    def __init__(self, pixels=5, latent=2, noise=0.7, orthogonal=False, seed=0, w=None, b=None):
        rng = np.random.default_rng(seed)
        w = rng.normal(size=(pixels, latent)) if w is None else w
        pixels, latent = w.shape
        if orthogonal:  # then the exact posterior is diagonal
            w = np.linalg.qr(w)[0] * np.linspace(1.5, 0.8, latent)
        self.w, self.noise = w, noise
        self.b = rng.normal(size=pixels) if b is None else b
        self.covariance = w @ w.T + noise**2 * np.eye(pixels)
        self.posterior_covariance = np.linalg.inv(np.eye(latent) + w.T @ w / noise**2)

    def draw(self, n, seed=1):
        rng = np.random.default_rng(seed)
        return rng.multivariate_normal(self.b, self.covariance, n).astype("float32")

    def log_likelihood(self, x):
        """log p(x), (n,)."""
        return scipy.stats.multivariate_normal(self.b, self.covariance).logpdf(x)

    @property
    def posterior_map(self):
        """A and c of the exact posterior mean A x + c."""
        a = self.posterior_covariance @ self.w.T / self.noise**2
        return a, -a @ self.b

    def bound(self, x, a, c, log_variance):
        """log p(x) - KL(q(z|x) || p(z|x)), (n,)."""
        exact_a, exact_c = self.posterior_map
        precision = np.linalg.inv(self.posterior_covariance)
        gap = x @ (a - exact_a).T + (c - exact_c)
        kl = 0.5 * (
            np.sum(np.diag(precision) * np.exp(log_variance))
            + np.einsum("ni,ij,nj->n", gap, precision, gap)
            - len(log_variance)
            - np.sum(log_variance)
            + np.linalg.slogdet(self.posterior_covariance)[1]
        )
        return self.log_likelihood(x) - kl

    def weighted(self, weight):
        """The model whose exact posterior maximises E_q log p(x|z) - weight KL(q(z|x) || p(z)).

        That q is proportional to p(z) p(x|z)^(1/weight), and p(x|z)^(1/weight) is, up to a factor,
        a Gaussian about the same mean with `weight` times the variance.
        """
        return LinearGaussian(w=self.w, b=self.b, noise=self.noise * np.sqrt(weight))

    def weighted_optimum(self, x, weight):
        """The maximum itself, weight log int p(z) p(x|z)^(1/weight) dz, (n,)."""
        pixels, variance = len(self.w), self.noise**2
        factor = (
            0.5
            * pixels
            * (weight * np.log(2 * np.pi * weight * variance) - np.log(2 * np.pi * variance))
        )
        return weight * self.weighted(weight).log_likelihood(x) + factor

    def vae(self, a, c, log_variance, algorithm=vae_keras.VAE, **kwargs):
        """A VAE, or another model, that is this model, with this q as its encoder."""
        pixels, latent = self.w.shape
        posterior = DiagonalGaussian(latent)
        likelihood = TFPDistribution("Normal", pixels, fixed={"scale": self.noise})
        encoder, decoder = (
            keras.Sequential([keras.Input((n,)), keras.layers.Dense(head.params_size), head])
            for n, head in ((pixels, posterior), (latent, likelihood))
        )
        kernel = np.concatenate([a.T, np.zeros_like(a.T)], axis=1)
        encoder.layers[0].set_weights([kernel, np.concatenate([c, log_variance])])
        decoder.layers[0].set_weights([self.w.T, self.b])
        return algorithm(encoder, decoder, **{"seed": 3, **kwargs})

    def exact_vae(self, **kwargs) -> vae_keras.VAE:
        """A VAE whose encoder is the exact posterior (`orthogonal` models only)."""
        return self.vae(*self.posterior_map, np.log(np.diag(self.posterior_covariance)), **kwargs)


def loose(oracle):
    """A model whose encoder is diagonal and half as wide again as the exact posterior."""
    wide = np.log(2.25 * np.diag(oracle.posterior_covariance))
    return oracle.vae(*oracle.posterior_map, wide)


def alike(latent):
    """A model whose posterior is as wide in all directions: HMC with moves of one length fails."""
    w = np.linalg.qr(np.random.default_rng(0).normal(size=(30, latent)))[0]
    return LinearGaussian(w=4 * w, noise=0.5)


class Plain:
    """A model that is no Keras model: p(z) = N(0, I), p(x|z) = N(w z, noise^2)."""

    def __init__(self, w=1.0, noise=0.5):
        self.w, self.noise = np.full((2, 3), w, "float32"), noise
        self.prior = tfd.MultivariateNormalDiag([0.0, 0.0])

    def decode(self, z):
        return tfd.Independent(tfd.Normal(z @ self.w, self.noise), 1)

    def encode(self, x):
        return tfd.MultivariateNormalDiag(0.3 * x[:, :2])
