"""Monte Carlo EM (appendix E), the baseline without an encoder."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from vae_keras import _checks, _noise, _programs, _streams, distributions, mcmc
from vae_keras.models import _inputs
from vae_keras.models.latent_variable import LatentVariableModel, datapoints, total
from vae_keras.typing import Codes, Data, Minibatch, Nats, Rows, Shape

FIRST_STEP_SIZE = 0.1
BURN_IN = 50  # transitions of a chain that begins anew, to infer z where no chain is kept


@keras.saving.register_keras_serializable(package="vae_keras")
class MonteCarloEM(LatentVariableModel):
    """A decoder trained on draws from its exact posterior, one a datapoint, by HMC.

    Each training datapoint keeps its own chain. A visit moves it by one HMC transition (E), then
    the decoder's weights are updated several times with the z acquired (M). All chains share one
    step size, which is adapted all the while to the wanted acceptance rate. With ten chains or more
    they keep p(z|x); one alone has up to 3% too little variance (docs/likelihood.md).

    `samples` counts evaluations of p(x|z) for a training point: each visit of a datapoint counts
    `leapfrog_steps` + `updates` times, 15 as the paper has it, where AEVB and wake-sleep count 1.

    Args:
        decoder: a Keras model that ends in a distribution layer: z of shape (M, latent) -> p(x|z).
            Its log density must be differentiable in z.
        n_train: the number of training datapoints, each of which keeps a chain.
        prior: p(z), a TFP distribution over a vector of reals, saved with the model and not
            trained; by default N(0, I).
        leapfrog_steps, updates: of a visit.
        acceptance: the rate of accepted transitions to which the step size is adapted.
        weight_decay, seed: as `VAE` has them.

    `fit` takes an array of `n_train` rows, in the same order each time, or a `tf.data` stream of
    minibatches (x, row numbers), int32 or int64, each row once a minibatch: labels given in their
    place would repeat. Of an array, ``shuffle="replacement"`` may draw a row twice: both draws move
    from where its chain stands, and the chain goes on from one of them. The metrics are in nats
    per datapoint, at the z acquired: `log_joint`, log p(x, z), `reconstruction`, log p(x|z), and
    `loss` = `weight_decay` - `log_joint`; `acceptance` is the rate reached. What is not trained on,
    `evaluate` and `predict` have, gets a z from a short chain of its own.

    Raises ValueError, before any training, for settings out of range, for a decoder without a
    gradient in z, and for data that do not fit.
    """

    NETWORKS = ("decoder",)
    divisible = False  # each device would have chains of its own
    METRICS = ("loss", "log_joint", "reconstruction", "acceptance", "weight_decay")
    SETTINGS = (
        *LatentVariableModel.SETTINGS, "n_train", "leapfrog_steps", "updates", "acceptance",
    )  # fmt: skip

    def __init__(
        self,
        decoder: keras.Model,
        n_train: int,
        prior: tfd.Distribution | None = None,
        *,
        leapfrog_steps: int = 10,
        updates: int = 5,
        acceptance: float = 0.9,
        weight_decay: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        n_train = _checks.count("n_train", n_train)
        leapfrog_steps = _checks.count("leapfrog_steps", leapfrog_steps)
        updates = _checks.count("updates", updates)
        if not 0 < acceptance < 1:
            raise ValueError(f"acceptance is {acceptance}, but must lie between 0 and 1")
        _checks.check_fixed_prior(prior, "Monte Carlo EM")
        shape = _checks.input_shape(decoder, "decoder")
        if prior is None:
            if shape is None or None in shape[1:]:
                raise ValueError("give a prior, or a decoder that knows its input's shape")
            prior = distributions.standard_normal(shape[1:])
        super().__init__((decoder,), prior, weight_decay, seed, **kwargs)
        self.n_train, self.leapfrog_steps, self.updates = n_train, leapfrog_steps, updates
        self.acceptance = acceptance
        self.evaluations = leapfrog_steps + updates
        self.build(None)
        self._tracker.unlock()  # as in AutoEncoder

    def build(self, input_shape: Shape) -> None:
        """Make the weights and the chains, which begin at draws from the prior."""
        del input_shape  # the decoder knows
        if self.built:
            return
        self.check_likelihood(self.decoder(self.prior.sample(1, seed=(0, 0))))
        _checks.check_movable(self)
        start = self.prior.sample(self.n_train, seed=_noise.at(self.seed, 0))
        self.chains = self.add_weight(
            name="chains", shape=start.shape, initializer=lambda *_, **__: start, trainable=False
        )
        self.step_size = self.add_weight(
            name="step_size",
            shape=(),
            initializer=keras.initializers.Constant(FIRST_STEP_SIZE),
            trainable=False,
        )
        self.built = True

    # ------------------------------------------------------------------------ training

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Move the chains of a minibatch by HMC, then update the weights with what they found."""
        x, rows, _ = keras.utils.unpack_x_y_sample_weight(data)
        z, acceptance = self.move(x, tf.gather(self.chains, rows))  # E
        self.chains.value.scatter_update(tf.IndexedSlices(z, rows))
        for _ in range(self.updates):  # M
            with tf.GradientTape() as tape:
                values = self.measure(x, z, training=True)
                loss = self.scaled(values[0], x)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
        self.count_examples(x)
        return self.record_z(values, acceptance)

    def move(self, x: Minibatch, z: Codes) -> tuple[Codes, tf.Tensor]:
        """One HMC transition from z, (M, d), which adapts the step size: z and the acceptance."""
        kernel = tfp.mcmc.SimpleStepSizeAdaptation(
            self.transition(x), num_adaptation_steps=1, target_accept_prob=self.acceptance
        )
        z, results = kernel.one_step(
            z, kernel.bootstrap_results(z), seed=self.noise_seed(training=True)
        )
        self.step_size.assign(results.new_step_size)
        return tf.stop_gradient(z), _rate(results.inner_results.log_accept_ratio)

    def transition(self, x: Minibatch) -> tfp.mcmc.TransitionKernel:
        """HMC on p(z|x) with the step size so far."""
        x = self.read(x)
        return mcmc.Jittered(
            lambda z: mcmc.log_joint(self, x, z),
            tf.convert_to_tensor(self.step_size),
            self.leapfrog_steps,
            store_parameters_in_results=True,
        )

    def measure(self, x: Minibatch, z: Codes, training: bool = False) -> tuple[tf.Tensor, ...]:
        """The loss, log p(x, z), log p(x|z), each (M,) but the first, and the decay."""
        reconstruction = self.decode(z, training).log_prob(self.read(x))
        log_joint = reconstruction + self.prior.log_prob(z)
        decay = self.decay(self.trainable_variables)
        loss = total(decay - tf.reduce_mean(log_joint), *self.losses)
        return loss, log_joint, reconstruction, decay

    def record_z(
        self, values: tuple[tf.Tensor, ...], acceptance: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Take what `measure` gave into the metrics, and return their values."""
        loss, log_joint, reconstruction, decay = values
        return self.record(
            tf.shape(log_joint)[0], (loss, log_joint, reconstruction, acceptance, decay)
        )

    def minibatch(self, x: Minibatch, rows: Rows) -> tuple[Minibatch, Rows]:
        """The datapoints in these rows, and the rows: which chains are theirs."""
        return tf.gather(x, rows), rows

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As in Keras; see `VAE.fit` and the class on which data."""
        x = _checks.one_input(x)
        if isinstance(x, tf.data.Dataset):
            _checks.check_rows_spec(x)
            x = _streams.checked_dataset(
                x, lambda _, rows: _checks.check_rows(rows, self.n_train), self.event_shape, parts=2
            )
        elif not hasattr(x, "shape"):
            raise ValueError(
                f"a chain belongs to one datapoint, which a {type(x).__name__} does not tell: fit "
                "on an array, or on a tf.data stream of minibatches (x, row numbers)"
            )
        elif (n := _inputs.trained_on(x, kwargs.get("validation_split", 0.0))) != self.n_train:
            raise ValueError(
                f"it would train on {n:,} rows, but there are {self.n_train:,} chains, one a "
                f"training datapoint: make the model with n_train={n}"
            )
        return super().fit(x, *args, **kwargs)

    # ------------------------------------------------------------------------ measuring

    def infer(self, x: Minibatch) -> tuple[Codes, tf.Tensor]:
        """Draw z of p(z|x) for each of x by chains that begin anew: (M, d), and the acceptance."""
        start = mcmc.begin(self, self.read(x), self.noise_seed())
        z, log_accept = tfp.mcmc.sample_chain(
            1,
            tf.ensure_shape(start, (None, *self.prior.event_shape)),  # of x of any number of rows
            kernel=self.transition(x),
            num_burnin_steps=BURN_IN,
            trace_fn=lambda _, results: results.log_accept_ratio,
            seed=self.noise_seed(),
        )
        return z[0], _rate(log_accept)

    def call(self, x: Minibatch) -> tf.Tensor:
        """Reconstruct x: the mean of p(x|z) at a z from p(z|x). So does `predict`."""
        x = tf.ensure_shape(x, (None, *self.event_shape))  # an exported model is not told
        return self.decode(self.infer(x)[0]).mean()

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Measure a minibatch at z from chains that begin anew."""
        x = datapoints(data)
        z, acceptance = self.infer(x)
        return self.record_z(self.measure(x, z), acceptance)

    def score(self, x: Data, batch_size: int = 1000) -> Nats:
        """By what step sizes are compared: log p(x, z) at one z from p(z|x) each, (N,)."""
        log_joint = _programs.compiled(
            self,
            ("log joint",),
            lambda x: mcmc.log_joint(self, self.read(x), self.infer(x)[0]),
            jit_compile=False,
            reduce_retracing=True,
        )
        size = _checks.count("batch_size", batch_size)
        with _streams.refusals():
            batches = _streams.minibatches(_inputs.checked(self, x), size)
            return np.concatenate([log_joint(batch).numpy() for batch in batches])

    def get_config(self) -> dict[str, Any]:
        """The configuration from which Keras recreates the model."""
        return super().get_config() | {
            "n_train": self.n_train,
            "leapfrog_steps": self.leapfrog_steps,
            "updates": self.updates,
            "acceptance": self.acceptance,
        }


def _rate(log_accept_ratio):
    return tf.reduce_mean(tf.exp(tf.minimum(log_accept_ratio, 0.0)))
