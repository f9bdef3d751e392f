"""The same model, recipe and data, as each library's users would write it, at its best.

Each contender is a class: `__init__(x_train, weights, step_size)` with uint8 images (N, 784) and
the initial weights as NumPy arrays, `train(epochs)`, which shuffles again in each epoch, and
`weights()`, the current ones. 784-500-20-500-784, tanh, Bernoulli pixels, estimator B, L = 1,
M = 100, Adagrad whose sums begin at 0.1, the prior N(0, I) on all parameters (MAP).
"""

import numpy as np

PIXELS, HIDDEN, LATENT, BATCH = 784, 500, 20, 100
SHAPES = [
    (PIXELS, HIDDEN), (HIDDEN,), (HIDDEN, 2 * LATENT), (2 * LATENT,),
    (LATENT, HIDDEN), (HIDDEN,), (HIDDEN, PIXELS), (PIXELS,),
]  # fmt: skip
STEP_SIZE, FIRST_SUM, EPSILON = 0.02, 0.1, 1e-7


def initial_weights(seed: int) -> list[np.ndarray]:
    """N(0, 0.01) for the encoder's and the decoder's kernels and biases."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.01, shape).astype("float32") for shape in SHAPES]


class Kit:
    """This kit: `VAE.fit` on the array, with a progress bar, all metrics and one callback."""

    name = "this kit, VAE.fit"

    def __init__(self, x_train, weights, step_size):
        import keras

        import vae_keras

        self.x = x_train
        self.vae = vae_keras.VAE(
            vae_keras.networks.gaussian_encoder(PIXELS, HIDDEN, LATENT),
            vae_keras.networks.bernoulli_decoder(LATENT, HIDDEN, PIXELS),
            weight_decay=1 / len(x_train),
            seed=0,
        )
        self.vae.encoder.set_weights(weights[:4])
        self.vae.decoder.set_weights(weights[4:])
        self.vae.compile(keras.optimizers.Adagrad(step_size))
        self.callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)

    def train(self, epochs):
        self.vae.fit(self.x, batch_size=BATCH, epochs=epochs, callbacks=[self.callback])

    def weights(self):
        return [*self.vae.encoder.get_weights(), *self.vae.decoder.get_weights()]


class KerasFit:
    """A Keras user's own `train_step` of one minibatch under the default `fit`."""

    name = "Keras, own train_step"

    def __init__(self, x_train, weights, step_size):
        import keras
        import tensorflow as tf

        decay = 0.5 / len(x_train)

        class PlainVAE(keras.Model):
            def __init__(self):
                super().__init__()
                dense = keras.layers.Dense
                self.encoder = keras.Sequential(
                    [keras.Input((PIXELS,)), dense(HIDDEN, "tanh"), dense(2 * LATENT)]
                )
                self.decoder = keras.Sequential(
                    [keras.Input((LATENT,)), dense(HIDDEN, "tanh"), dense(PIXELS)]
                )
                self.seed_generator = keras.random.SeedGenerator(0)
                self.trackers = [keras.metrics.Mean(n) for n in ("loss", "reconstruction", "kl")]

            @property
            def metrics(self):
                return self.trackers

            def train_step(self, x):
                with tf.GradientTape() as tape:
                    mu, log_variance = tf.split(self.encoder(x), 2, axis=-1)
                    noise = keras.random.normal(tf.shape(mu), seed=self.seed_generator)
                    logits = self.decoder(mu + tf.exp(log_variance / 2) * noise)
                    cross = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
                    reconstruction = -tf.reduce_mean(tf.reduce_sum(cross, -1))
                    kl = -0.5 * (1 + log_variance - mu**2 - tf.exp(log_variance))
                    kl = tf.reduce_mean(tf.reduce_sum(kl, -1))
                    squares = tf.add_n([tf.reduce_sum(w**2) for w in self.trainable_weights])
                    loss = kl - reconstruction + decay * squares
                gradients = tape.gradient(loss, self.trainable_weights)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
                for tracker, value in zip(self.trackers, (loss, reconstruction, kl), strict=True):
                    tracker.update_state(value)
                return {tracker.name: tracker.result() for tracker in self.trackers}

        self.x = x_train.astype("float32") / 255
        self.model = PlainVAE()
        self.model.encoder.set_weights(weights[:4])
        self.model.decoder.set_weights(weights[4:])
        self.model.compile(keras.optimizers.Adagrad(step_size))

    def train(self, epochs):
        self.model.fit(self.x, batch_size=BATCH, epochs=epochs)

    def weights(self):
        return [*self.model.encoder.get_weights(), *self.model.decoder.get_weights()]


class Jax:
    """Hand-written JAX: one jitted `lax.scan` per epoch, the data on the device, all metrics."""

    name = "JAX, lax.scan"

    def __init__(self, x_train, weights, step_size):
        import jax
        import jax.numpy as jnp

        x, n = jnp.asarray(x_train), len(x_train)

        def loss(w, pixels, key):
            batch = pixels.astype(jnp.float32) / 255
            encoded = jnp.tanh(batch @ w[0] + w[1]) @ w[2] + w[3]
            mu, log_variance = jnp.split(encoded, 2, axis=-1)
            z = mu + jnp.exp(log_variance / 2) * jax.random.normal(key, mu.shape)
            logits = jnp.tanh(z @ w[4] + w[5]) @ w[6] + w[7]
            reconstruction = jnp.sum(batch * logits - jax.nn.softplus(logits), -1).mean()
            kl = -0.5 * jnp.sum(1 + log_variance - mu**2 - jnp.exp(log_variance), -1).mean()
            decay = 0.5 / n * sum(jnp.sum(value**2) for value in w)
            return kl - reconstruction + decay, (reconstruction, kl, decay)

        def step(state, rows):
            w, sums, key = state
            key, noise = jax.random.split(key)
            (value, parts), gradients = jax.value_and_grad(loss, has_aux=True)(w, x[rows], noise)
            sums = [s + g**2 for s, g in zip(sums, gradients, strict=True)]
            w = [
                v - step_size * g / jnp.sqrt(s + EPSILON)
                for v, g, s in zip(w, gradients, sums, strict=True)
            ]
            return (w, sums, key), (value, *parts)

        def epoch(state):
            w, sums, key = state
            key, shuffle = jax.random.split(key)
            rows = jax.random.permutation(shuffle, n).reshape(-1, BATCH)
            state, logs = jax.lax.scan(step, (w, sums, key), rows)
            return state, [log.mean() for log in logs]

        self.epoch = jax.jit(epoch, donate_argnums=0)
        w = [jnp.asarray(value) for value in weights]
        self.state = (w, [jnp.full_like(value, FIRST_SUM) for value in w], jax.random.key(0))

    def train(self, epochs):
        for _ in range(epochs):
            self.state, logs = self.epoch(self.state)
            float(logs[0])

    def weights(self):
        return [np.asarray(value) for value in self.state[0]]


class TorchEager:
    """A PyTorch loop, the data in one tensor, indexed by a new permutation in each epoch."""

    name = "PyTorch, eager"
    compiled = False

    def __init__(self, x_train, weights, step_size):
        import torch
        from torch import nn
        from torch.nn import functional

        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(0)
        n = len(x_train)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = nn.Sequential(
                    nn.Linear(PIXELS, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2 * LATENT)
                )
                self.decoder = nn.Sequential(
                    nn.Linear(LATENT, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, PIXELS)
                )

            def forward(self, x):
                mu, log_variance = self.encoder(x).chunk(2, dim=-1)
                z = mu + (log_variance / 2).exp() * torch.randn_like(mu)
                logits = self.decoder(z)
                cross = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
                kl = -0.5 * (1 + log_variance - mu**2 - log_variance.exp()).sum()
                decay = 0.5 / n * sum((p**2).sum() for p in self.parameters())
                return (cross + kl) / len(x) + decay, -cross / len(x), kl / len(x)

        self.net = Net().to(device)
        with torch.no_grad():
            for parameter, value in zip(self.net.parameters(), weights, strict=True):
                parameter.copy_(torch.from_numpy(value.T))
        self.x = torch.from_numpy(x_train).to(device)
        self.optimizer = torch.optim.Adagrad(
            self.net.parameters(), step_size, initial_accumulator_value=FIRST_SUM, eps=EPSILON
        )
        self.loss = torch.compile(self.net) if self.compiled else self.net
        self.torch = torch

    def train(self, epochs):
        for _ in range(epochs):
            totals = self.torch.zeros(3, device=self.x.device)
            for rows in self.torch.randperm(len(self.x), device=self.x.device).split(BATCH):
                parts = self.loss(self.x[rows].float() / 255)
                self.optimizer.zero_grad(set_to_none=True)
                parts[0].backward()
                self.optimizer.step()
                totals += self.torch.stack([part.detach() for part in parts])
            totals.tolist()

    def weights(self):
        return [p.detach().cpu().numpy().T.copy() for p in self.net.parameters()]


class TorchCompiled(TorchEager):
    """The same with `torch.compile`."""

    name = "PyTorch, torch.compile"
    compiled = True


CONTENDERS = {c.__name__: c for c in (Kit, Jax, KerasFit, TorchEager, TorchCompiled)}
