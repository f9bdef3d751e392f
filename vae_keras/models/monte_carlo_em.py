"""Monte Carlo EM (appendix E), the baseline without an encoder."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from vae_keras import _checks, _noise, _streams, distributions, mcmc
from vae_keras.models import _inputs
from vae_keras.models.latent_variable import LatentVariableModel, datapoints, total
from vae_keras.typing import Codes, Data, Minibatch, Nats, Rows, Shape

FIRST_STEP_SIZE = 0.1
BURN_IN = 50  # transitions of a new chain, to infer z without a kept chain


@keras.saving.register_keras_serializable(package="vae_keras")
class MonteCarloEM(LatentVariableModel):
    """A decoder trained on HMC draws from its exact posterior, one per datapoint.

    Each training datapoint keeps its own chain. A visit moves the chain by one HMC transition
    (E-step), then updates the decoder's weights several times with the z drawn (M-step). All chains
    share one step size, which is continually adapted to the target acceptance rate. Ten or more
    chains preserve p(z|x); a single chain has up to 3% too little variance.

    Args:
        decoder: a Keras model that ends in a distribution layer: z of shape (M, latent) -> p(x|z).
            Its log density must be differentiable in z.
        n_train: the number of training datapoints, each of which keeps a chain.
        prior: p(z), a TFP distribution over a vector of reals, saved with the model and not
            trained. Default: N(0, I).
        leapfrog_steps, updates: the numbers per visit.
        acceptance: the target rate of accepted transitions, to which the step size is adapted.
        weight_decay, seed: as in `VAE`.
        kwargs: those of `keras.Model`, such as `name`.

    `fit()` takes an array of `n_train` rows, in the same order each time, or a `tf.data` stream of
    minibatches (x, row numbers), int32 or int64, each row once per minibatch (class labels would
    repeat). With ``shuffle="replacement"``, a row of an array may be drawn twice: both draws start
    from the state of its chain, and the chain continues from one of them. The metrics are in nats
    per datapoint, at the z drawn: `log_joint` = log p(x, z), `reconstruction` = log p(x|z), and
    `loss` = `weight_decay` - `log_joint`; `acceptance` is the rate reached. `evaluate()` and
    `predict()` draw z from new short chains.

    `samples_evaluated` counts evaluations of p(x|z) for a training point: `leapfrog_steps` +
    `updates` per visit of a datapoint, 15 in the paper, where AEVB and wake-sleep count 1.

    Raises:
        ValueError: before any training, for settings out of range, for a decoder without a gradient
            in z, and for data that do not fit.

    >>> from vae_keras import MonteCarloEM, datasets, networks
    >>> import keras
    >>> keras.utils.set_random_seed(0)
    >>> digits = datasets.load("mnist_5k").x_train[:500]
    >>> decoder = networks.bernoulli_decoder(latent_dim=2, hidden=100, n_pixels=784)
    >>> model = MonteCarloEM(decoder, n_train=500)
    >>> model.compile(keras.optimizers.Adam(3e-3))
    >>> history = model.fit(digits, epochs=5, verbose=0).history
    >>> print(history["log_joint"][-1] > -220)  # log p(x, z): about -213 nats; at first -392
    True
    >>> print(model.samples_evaluated)  # 2,500 visits
    37500
    """

    NETWORKS = ("decoder",)
    divisible = False  # each device would have its own chains
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
        """Create the weights and the chains, which start at draws from the prior."""
        del input_shape  # the decoder has its own
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

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Move the chains of a minibatch by HMC, then update the weights with the new z."""
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
        """One HMC transition from z, (M, d), adapting the step size: new z and the acceptance."""
        kernel = tfp.mcmc.SimpleStepSizeAdaptation(
            self.transition(x), num_adaptation_steps=1, target_accept_prob=self.acceptance
        )
        z, results = kernel.one_step(
            z, kernel.bootstrap_results(z), seed=self.noise_seed(training=True)
        )
        self.step_size.assign(results.new_step_size)
        return tf.stop_gradient(z), _rate(results.inner_results.log_accept_ratio)

    def transition(self, x: Minibatch) -> tfp.mcmc.TransitionKernel:
        """HMC on p(z|x) with the current step size."""
        x = self.read(x)
        return mcmc.Jittered(
            lambda z: mcmc.log_joint(self, x, z),
            tf.convert_to_tensor(self.step_size),
            self.leapfrog_steps,
            store_parameters_in_results=True,
        )

    def measure(self, x: Minibatch, z: Codes, training: bool = False) -> tuple[tf.Tensor, ...]:
        """The loss, a scalar; log p(x, z) and log p(x|z), each (M,); and the decay."""
        reconstruction = self.decode(z, training).log_prob(self.read(x))
        log_joint = reconstruction + self.prior.log_prob(z)
        decay = self.decay(self.trainable_variables)
        loss = total(decay - tf.reduce_mean(log_joint), *self.losses)
        return loss, log_joint, reconstruction, decay

    def record_z(
        self, values: tuple[tf.Tensor, ...], acceptance: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Add the results of `measure` to the metrics and return their values."""
        loss, log_joint, reconstruction, decay = values
        return self.record(
            tf.shape(log_joint)[0], (loss, log_joint, reconstruction, acceptance, decay)
        )

    def minibatch(self, x: Minibatch, rows: Rows) -> tuple[Minibatch, Rows]:
        """The datapoints in these rows, and the rows, which identify their chains."""
        return tf.gather(x, rows), rows

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train on x, as `Trainer.fit()` does.

        Args:
            x: an array of `n_train` rows, or a `tf.data` stream of minibatches (x, row numbers).
            args, kwargs: as in `Trainer.fit()`.

        Returns:
            Keras's `History`, as there.

        Raises:
            ValueError: as there, and for data without row numbers or with another number of rows.
            NonFiniteBoundError: as there.
        """
        x = _checks.one_input(x)
        if isinstance(x, tf.data.Dataset):
            _checks.check_rows_spec(x)
            x = _streams.checked_dataset(
                x, lambda _, rows: _checks.check_rows(rows, self.n_train), self.event_shape, parts=2
            )
        elif not hasattr(x, "shape"):
            raise ValueError(
                f"each chain belongs to one datapoint, which a {type(x).__name__} does not number: "
                "fit on an array, or on a tf.data stream of minibatches (x, row numbers)"
            )
        elif (n := _inputs.trained_on(x, kwargs.get("validation_split", 0.0))) != self.n_train:
            raise ValueError(
                f"fit would train on {n:,} rows, but there are {self.n_train:,} chains, one per "
                f"training datapoint: make the model with n_train={n}"
            )
        return super().fit(x, *args, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `Trainer.train_on_batch()`.

        Args:
            x: a minibatch, (M, *input).
            y: the place of each row in the training set, (M,) integers.
            args, kwargs: as in Keras.

        Raises:
            ValueError: as `fit()`, and for a minibatch without row numbers.
        """
        rows = None if y is None else np.asarray(y)
        if rows is None or rows.dtype.kind not in "iu" or rows.shape != np.shape(x)[:1]:
            raise ValueError(
                "each chain belongs to one datapoint: call train_on_batch(x, row numbers), with "
                "an integer for each row of x"
            )
        _checks.check_rows(rows, self.n_train)
        return super().train_on_batch(x, rows.astype(np.int64), *args, **kwargs)

    def infer(self, x: Minibatch) -> tuple[Codes, tf.Tensor]:
        """Draw z from p(z|x) for each x, with new chains.

        Returns:
            z, (M, d), and the mean acceptance rate, a scalar.
        """
        start = mcmc.begin(self, self.read(x), self.noise_seed())
        z, log_accept = tfp.mcmc.sample_chain(
            1,
            tf.ensure_shape(start, (None, *self.prior.event_shape)),  # for any number of rows
            kernel=self.transition(x),
            num_burnin_steps=BURN_IN,
            trace_fn=lambda _, results: results.log_accept_ratio,
            seed=self.noise_seed(),
        )
        return z[0], _rate(log_accept)

    def call(self, x: Minibatch) -> tf.Tensor:
        """Reconstruct x as the mean of p(x|z) at a z from p(z|x), as `predict` does."""
        x = tf.ensure_shape(x, (None, *self.event_shape))  # unknown in an exported model
        return self.decode(self.infer(x)[0]).mean()

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Measure a minibatch at z from new chains."""
        x = datapoints(data)
        z, acceptance = self.infer(x)
        return self.record_z(self.measure(x, z), acceptance)

    def score(self, x: Data, batch_size: int = 1000) -> Nats:
        """Return the value to choose a step size by: log p(x, z) at one draw of z, per datapoint.

        The z is drawn from p(z|x) by a new chain of HMC.

        Args:
            x: the data, as in `Trainer.fit()`.
            batch_size: datapoints at a time.

        Returns:
            NumPy, (N,), nats.

        Raises:
            ValueError: for data that the model cannot read.
        """

        def log_joint(x):
            return mcmc.log_joint(self, self.read(x), self.infer(x)[0])

        size = _checks.count("batch_size", batch_size)
        return self._measured(("log joint",), log_joint, x, size)


def _rate(log_accept_ratio):
    return tf.reduce_mean(tf.exp(tf.minimum(log_accept_ratio, 0.0)))
