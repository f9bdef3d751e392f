"""A further algorithm, which defines `train_step` alone: section 2.2's naive gradient estimator."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles.linear_gaussian import LinearGaussian

import vae_keras
from vae_keras.bounds import Bound
from vae_keras.models import AutoEncoder, datapoints

A = np.array([[0.3, -0.2, 0.1, 0.4, 0.0], [-0.1, 0.2, 0.5, 0.0, 0.3]])  # not the exact posterior
C, LOG_VARIANCE = np.array([0.2, -0.4]), np.array([-0.5, 0.3])
STEPS = 300  # estimates of each gradient
ENCODER = 2  # the first of the trainable variables, kernel and bias, are phi


@keras.saving.register_keras_serializable(package="tests")
class ScoreFunction(AutoEncoder):
    """grad_phi E_q[f(z)] = E_q[f(z) grad_phi log q(z|x)], f(z) = log p(x, z) - log q(z|x)."""

    def train_step(self, data):
        x = datapoints(data)
        with tf.GradientTape() as tape:
            q = self.encode(x, training=True)
            z = tf.stop_gradient(q.sample(seed=self.noise_seed(training=True)))
            reconstruction = self.decode(z, training=True).log_prob(self.read(x))
            log_q = q.log_prob(z)
            kl = log_q - self.prior.log_prob(z)
            bound = Bound(reconstruction - kl, reconstruction, kl)
            score = tf.reduce_mean(tf.stop_gradient(bound.elbo) * log_q)
            decay = self.decay(self.trainable_variables)
            loss = self.scaled(self.loss_of(bound, decay) - score, x)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.count_examples(x)
        return self.record_bound(bound, decay)


def test_it_is_one_method_of_public_names():
    assert [name for name in vars(ScoreFunction) if not name.startswith("_")] == ["train_step"]
    names = ScoreFunction.train_step.__code__.co_names
    assert not [name for name in names if name.startswith("_")]


# ------------------------------------------------------------- its gradient, and its variance


def exact_gradient(oracle, x):
    """Of -bound, the mean over x, in the order of the model's variables; in closed form.

    bound = E_q log p(x|z) - KL(q || p), z from N(m, diag exp(v)), (m, v) = x kernel + bias.
    """
    kernel = np.concatenate([A.T, np.zeros_like(A.T)], axis=1)
    values = kernel, np.concatenate([C, LOG_VARIANCE]), oracle.w.T, oracle.b
    variables = [tf.Variable(value, dtype=tf.float64) for value in values]
    x, pixels = x.astype("float64"), x.shape[1]
    with tf.GradientTape() as tape:
        kernel, bias, w, b = variables
        m, v = tf.split(x @ kernel + bias, 2, axis=1)
        squares = tf.reduce_sum((x - m @ w - b) ** 2, 1)
        squares += tf.linalg.matvec(tf.exp(v), tf.reduce_sum(w**2, 1))
        noise = oracle.noise**2
        reconstruction = -0.5 * (squares / noise + pixels * np.log(2 * np.pi * noise))
        kl = 0.5 * tf.reduce_sum(m**2 + tf.exp(v) - v - 1, 1)
        loss = -tf.reduce_mean(reconstruction - kl)
    assert -loss.numpy() == pytest.approx(oracle.bound(x, A, C, LOG_VARIANCE).mean(), rel=1e-9)
    return [gradient.numpy() for gradient in tape.gradient(loss, variables)]


def gradients_of(algorithm, oracle, x):
    """What SGD of step size 1 subtracts in each of STEPS steps from the same weights."""
    model = oracle.vae(A, C, LOG_VARIANCE, algorithm=algorithm, estimator="A")
    model.compile(keras.optimizers.SGD(1.0))
    variables = [weight.value for weight in model.trainable_variables]
    before = [tf.identity(variable) for variable in variables]

    @tf.function
    def step():
        model.train_step(x)
        moved = [start - variable for start, variable in zip(before, variables, strict=True)]
        for variable, start in zip(variables, before, strict=True):
            variable.assign(start)
        return moved

    found = [step() for _ in range(STEPS)]
    return [np.stack(each) for each in zip(*found, strict=True)]


@pytest.fixture(scope="module")
def estimates():
    """STEPS estimates of each gradient by two algorithms, and the exact one."""
    oracle = LinearGaussian()
    x = oracle.draw(200)
    algorithms = {"score": ScoreFunction, "aevb": vae_keras.VAE}
    found = {name: gradients_of(algorithm, oracle, x) for name, algorithm in algorithms.items()}
    return found | {"exact": exact_gradient(oracle, x)}


@pytest.mark.parametrize("algorithm", ["score", "aevb"])
def test_its_gradient_is_unbiased(estimates, algorithm):
    """The mean of the estimates is the exact gradient, within its own standard error."""
    deviations = []
    for found, exact in zip(estimates[algorithm], estimates["exact"], strict=True):
        error = found.std(0, ddof=1) / np.sqrt(STEPS)
        deviations.append(np.ravel((found.mean(0) - exact) / error))
    deviations = np.concatenate(deviations)  # N(0, 1), of 39 weights
    assert np.abs(deviations).max() < 4
    assert 0.3 < np.mean(deviations**2) < 2  # and not because the error is large


def test_its_variance_is_that_for_which_the_paper_calls_it_impractical(estimates):
    """Section 2.2: of phi's gradient AEVB's reparameterised estimate has by far the smaller one."""
    for score, aevb in zip(estimates["score"][:ENCODER], estimates["aevb"][:ENCODER], strict=True):
        assert np.all(score.var(0) > 5 * aevb.var(0))
        assert score.var(0).sum() > 10 * aevb.var(0).sum()


# ------------------------------------------------------------------------ it is a Keras model


def test_it_fits_is_saved_loaded_and_goes_on(tmp_path):
    """The encoder alone learns, by the score, and comes near the exact posterior."""
    oracle = LinearGaussian(pixels=3, latent=1)
    x, nothing = oracle.draw(1000), np.zeros(1)
    model = oracle.vae(np.zeros((1, 3)), nothing, nothing, algorithm=ScoreFunction)
    model.decoder.trainable = False
    model.compile(keras.optimizers.Adam(0.02))
    before = model.elbo(x, n_samples=10).mean()
    history = model.fit(x, epochs=10, verbose=0, validation_data=x).history
    assert history["val_elbo"][0] < history["val_elbo"][-1] - 0.2
    after = model.elbo(x, n_samples=10).mean()
    assert before + 0.4 < after < oracle.log_likelihood(x).mean() + 0.01
    assert after > oracle.log_likelihood(x).mean() - 0.1
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is ScoreFunction
    assert loaded.samples_evaluated == model.samples_evaluated == 10_000
    for one in (model, loaded):
        one.fit(x, epochs=2, verbose=0)
    np.testing.assert_allclose(model.elbo(x), loaded.elbo(x), rtol=1e-4)


def test_xla_compiles_it_for_a_stream(make_vae, x):
    vae = make_vae()
    model = ScoreFunction(vae.encoder, vae.decoder, weight_decay=0.001, seed=1)
    model.compile(jit_compile=True)
    stream = tf.data.Dataset.from_tensor_slices(x).batch(100)
    history = model.fit(stream, epochs=2, verbose=0).history
    assert set(history) == set(AutoEncoder.METRICS)
    last = [history[name][-1] for name in ("loss", "weight_decay", "elbo")]
    assert last[0] == pytest.approx(last[1] - last[2], rel=1e-5)
    assert model.samples_evaluated == 400
