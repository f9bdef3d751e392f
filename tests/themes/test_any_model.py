"""Any networks, any posterior, any prior: what section 1 promises."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp
from oracles.linear_gaussian import LinearGaussian

from vae_keras import VAE, FullVB, MonteCarloEM, WakeSleep, marginal_likelihood, networks
from vae_keras.distributions import standard_normal
from vae_keras.layers import (
    Bernoulli,
    Blockwise,
    Conditional,
    DiagonalGaussian,
    GaussianMixture,
    TFPDistribution,
)
from vae_keras.priors import Learned

tfb, tfd = tfp.bijectors, tfp.distributions
PIXELS, LATENT = 12, 2


@pytest.fixture
def x():
    """200 images of 12 pixels in which one number is to be found, (200, 12)."""
    rng = np.random.default_rng(0)
    return scipy.special.expit(3 * rng.normal(size=(200, 1)) * np.linspace(-1, 1, PIXELS)).astype(
        "float32"
    )


def improves(vae, x, epochs=30, at_least=0.2):
    before = vae.elbo(x, n_samples=10).mean()
    history = vae.fit(x, epochs=epochs, verbose=0).history
    assert np.all(np.isfinite(history["elbo"]))
    assert vae.elbo(x, n_samples=10).mean() > before + at_least
    assert np.all(np.isfinite(vae.predict(x[:3], verbose=0)))


# ---------------------------------------------------------------------------- networks


@pytest.mark.long
def test_several_decoders_in_one(make_vae, tmp_path):
    """Binary and real numbers side by side, each with a decoder of its own."""
    rng = np.random.default_rng(0)
    x = np.c_[rng.integers(0, 2, (200, 8)), rng.normal(3, 0.3, (200, 4))].astype("float32")
    bits, reals = Bernoulli(8), DiagonalGaussian(4)
    z = keras.Input((LATENT,))
    heads = [keras.layers.Dense(part.params_size)(z) for part in (bits, reals)]
    joint = Blockwise([bits, reals])(keras.layers.Concatenate()(heads))
    vae = make_vae(decoder=keras.Model(z, joint))
    improves(vae, x, at_least=3)
    z = tf.constant([[0.3, -1.0]])
    params = [vae.decoder.layers[i](z) for i in (1, 2)]
    by_hand = bits(params[0]).log_prob(x[:1, :8]) + reals(params[1]).log_prob(x[:1, 8:])
    np.testing.assert_allclose(vae.decode(z).log_prob(x[:1]), by_hand, rtol=1e-5)
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(again.decode(z).log_prob(x[:1]), by_hand, rtol=1e-5)


def test_only_the_bernoulli_part_of_several_decoders_needs_pixels(make_vae, any_decoder):
    vae = make_vae(decoder=any_decoder(Blockwise([Bernoulli(8), DiagonalGaussian(4)])))
    good, bad = np.ones((2, 50, PIXELS), "float32")
    good[:, 8:], bad[:, 0] = 30, 2
    stream = tf.data.Dataset.from_tensor_slices
    for data in (bad, stream(bad).batch(25)):
        with pytest.raises(ValueError, match=r"pixels lie in \[1, 2\], but a Bernoulli decoder"):
            vae.fit(data, verbose=0)
    with pytest.raises(ValueError, match=r"^pixels lie in \[1, 2\], but a Bernoulli decoder"):
        vae.fit(stream(np.concatenate([good, bad])).batch(50), verbose=0)


class Written(keras.Model):
    """A subclassed network, as most are written: its layers build themselves."""

    def __init__(self, head, **kwargs):
        super().__init__(**kwargs)
        self.head = head
        self.hidden = keras.layers.Dense(8, "tanh")
        self.dense = keras.layers.Dense(head.params_size)

    def call(self, inputs, training=None):
        return self.head(self.dense(self.hidden(inputs)))

    def get_config(self):
        return super().get_config() | {"head": keras.saving.serialize_keras_object(self.head)}

    @classmethod
    def from_config(cls, config):
        head = keras.saving.deserialize_keras_object(config.pop("head"))
        return cls(head, **config)


@keras.saving.register_keras_serializable(package="tests")
class Registered(Written):
    """The same with a `build`, and with weights of its own."""

    def build(self, input_shape):
        self.hidden.build(input_shape)
        self.dense.build((None, 8))
        self.scale = self.add_weight(name="scale", shape=(8,))

    def call(self, inputs):
        return self.head(self.dense(self.scale * self.hidden(inputs)))


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("algorithm", "network"),
    [
        ("both", Registered),
        *((name, Written) for name in ("decoder", "WakeSleep", "FullVB", "MCEM")),
    ],
)
def test_subclassed_networks(algorithm, network, x, any_encoder, tmp_path):
    """Trained, saved, loaded and cloned; a registered class and one that is passed."""
    x = x[:50]
    q, p = DiagonalGaussian(LATENT), Bernoulli(PIXELS)
    encoder, decoder = network(q), network(p)
    model = {
        "decoder": lambda: VAE(any_encoder(q), decoder),
        "both": lambda: VAE(encoder, decoder),
        "WakeSleep": lambda: WakeSleep(encoder, decoder),
        "FullVB": lambda: FullVB(encoder, decoder, n_train=50),
        "MCEM": lambda: MonteCarloEM(decoder, 50, standard_normal(LATENT)),
    }[algorithm]()
    model.compile()
    model.fit(x, verbose=0)
    model.save(tmp_path / "model.keras")
    custom = {} if network is Registered else {"Written": Written}
    loaded = keras.saving.load_model(tmp_path / "model.keras", custom)
    with keras.saving.custom_object_scope(custom):
        clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    reconstructed, scores = model.predict(x, verbose=0), model.score(x)
    for again in (loaded, clone):
        np.testing.assert_array_equal(again.predict(x, verbose=0), reconstructed)
        np.testing.assert_array_equal(again.score(x), scores)


def test_a_subclassed_decoder_that_was_called_knows_its_input():
    decoder = Written(Bernoulli(PIXELS))
    with pytest.raises(ValueError, match="give a prior, or a decoder that knows its input's shape"):
        MonteCarloEM(decoder, 10)
    decoder(tf.zeros((1, LATENT)))
    assert MonteCarloEM(decoder, 10).prior.event_shape == (LATENT,)


def test_an_encoder_of_images_of_any_size(tmp_path):
    """The input shape that the first data gave is saved, and what is refused for it is said."""
    images, q = np.random.default_rng(0).uniform(size=(20, 6, 6, 1)), DiagonalGaussian(LATENT)
    convolution = keras.layers.Conv2D(4, 3, name="convolution")
    pool, dense = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(q.params_size)
    encoder = keras.Sequential([keras.Input((None, None, 1)), convolution, pool, dense, q])
    p = Bernoulli((6, 6, 1))
    decoder = keras.Sequential(
        [keras.Input((LATENT,)), keras.layers.Dense(36), keras.layers.Reshape((6, 6, 1)), p]
    )
    vae = VAE(encoder, decoder)
    assert not vae.built
    vae.compile()
    vae.fit(images, verbose=0)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    clone = keras.models.clone_model(vae)
    clone.set_weights(vae.get_weights())
    for again in (loaded, clone):
        np.testing.assert_array_equal(again.reconstruct(images), vae.reconstruct(images))
    unbuilt = VAE.from_config(vae.get_config())
    with pytest.raises(ValueError, match=r"over \(6, 6, 1\), but the encoder reads \(5, 5, 1\)"):
        unbuilt.build_from_config({"input_shape": (None, 5, 5, 1)})


# --------------------------------------------------------------------------- posteriors


def test_a_full_covariance(x, make_vae, any_encoder):
    vae = make_vae(any_encoder(TFPDistribution("MultivariateNormalTriL", LATENT)), estimator="A")
    improves(vae, x)


@keras.saving.register_keras_serializable(package="tests")
class FlowEncoder(keras.Model):
    """q(z|x): a diagonal Gaussian through one inverse autoregressive layer (Kingma et al. 2016)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gaussian = DiagonalGaussian(LATENT)
        self.dense = keras.layers.Dense(self.gaussian.params_size)
        self.coupling = self.add_weight(name="coupling", shape=(2, LATENT, LATENT))

    def build(self, input_shape):
        self.dense.build(input_shape)

    def shift_and_log_scale(self, z):
        shift, log_scale = tf.unstack(tf.linalg.band_part(self.coupling, 0, -1))
        strictly = 1 - tf.eye(LATENT)  # each number from those before it
        return tf.matmul(z, strictly * shift), tf.tanh(tf.matmul(z, strictly * log_scale))

    def call(self, x):
        flow = tfb.Invert(tfb.MaskedAutoregressiveFlow(self.shift_and_log_scale))
        return tfd.TransformedDistribution(self.gaussian(self.dense(x)), flow)


@pytest.mark.long
def test_an_autoregressive_flow(x, make_vae):
    encoder = FlowEncoder()
    vae = make_vae(encoder)
    with pytest.warns(UserWarning, match="this model uses estimator A"):
        vae.build((None, PIXELS))
    before = encoder.coupling.numpy()
    improves(vae, x)
    assert np.abs(encoder.coupling.numpy() - before)[:, 0, 1].min() > 0  # the flow learned too


# -------------------------------------------------------------------------------- priors


def mixture():
    keras.utils.set_random_seed(1)
    return Learned(GaussianMixture(LATENT, components=3))


@pytest.mark.long
def test_a_learned_mixture_as_prior(x, make_vae, tmp_path):
    prior = mixture()
    with pytest.warns(UserWarning, match="KL.* in closed form, and TFP has none: .*estimator A"):
        vae = make_vae(prior=prior)
    assert vae.estimator == "A"
    before = prior.params.numpy()
    improves(vae, x, epochs=150)
    assert np.all(prior.params.numpy() != before)
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")  # without a second warning
    np.testing.assert_array_equal(again.elbo(x), vae.elbo(x))
    assert again.sample(3).shape == (3, PIXELS)


@pytest.mark.long
def test_relaxed_categories(x, make_vae, any_encoder, any_decoder, tmp_path):
    """Concrete, or Gumbel-softmax, latents: the way of a VAE with discrete ones."""
    layer = TFPDistribution("RelaxedOneHotCategorical", 4, fixed={"temperature": 0.7})
    prior = tfd.RelaxedOneHotCategorical(0.7, logits=tf.zeros(4))
    vae = make_vae(any_encoder(layer), any_decoder(latent=4), prior=prior, estimator="A")
    improves(vae, x)
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(again.elbo(x), vae.elbo(x))
    assert again.sample(3).shape == (3, PIXELS)
    reals = tfd.Independent(tfd.Normal(tf.zeros(4), 1.0), 1)
    with pytest.raises(ValueError, match="z in a simplex, but the prior"):
        make_vae(any_encoder(layer), any_decoder(latent=4), prior=reals, estimator="A")


def test_a_learned_gaussian_prior_keeps_estimator_b(x, make_vae):
    vae = make_vae(prior=Learned(DiagonalGaussian(LATENT), keras.initializers.Zeros()))
    assert vae.estimator == "B"
    standard = make_vae()
    np.testing.assert_allclose(vae.elbo(x[:5]).mean(), standard.elbo(x[:5]).mean(), atol=1.0)
    kl = tfd.kl_divergence(vae.encode(x[:5]), vae.prior)
    np.testing.assert_allclose(kl, tfd.kl_divergence(vae.encode(x[:5]), standard_normal(2)))


def test_a_fixed_mixture_prior_chooses_estimator_a_and_says_so(make_vae):
    prior = GaussianMixture(LATENT, 2).distribution(tf.constant(np.arange(10, dtype="float32")))
    with pytest.warns(UserWarning, match="Pass estimator='A' to silence this warning"):
        assert make_vae(prior=prior).estimator == "A"
    assert make_vae(prior=prior, estimator="A").estimator == "A"
    with pytest.raises(ValueError, match=r"estimator B needs KL.*: use estimator='A'"):
        make_vae(prior=prior, estimator="B")


def test_what_cannot_learn_a_prior_says_so(make_vae):
    vae = make_vae(compiled=False)
    with pytest.raises(ValueError, match="wake-sleep cannot learn a prior"):
        WakeSleep(vae.encoder, vae.decoder, mixture())
    with pytest.raises(ValueError, match="Monte Carlo EM cannot learn a prior"):
        MonteCarloEM(vae.decoder, 10, mixture())


# -------------------------------------------------------------------------- as compiled


@pytest.mark.long
@pytest.mark.usefixtures("xla")
@pytest.mark.parametrize("case", ["gamma", "mixture", "blockwise"])
def test_xla_compiles_it(case, x, make_vae, any_encoder, any_decoder):
    """What `compile()` does by default."""
    positive = tfd.Independent(tfd.LogNormal(tf.zeros(2), 1.0), 1)
    settings = {
        "gamma": lambda: {"encoder": any_encoder(TFPDistribution("Gamma", 2)), "prior": positive},
        "mixture": lambda: {"prior": mixture()},
        "blockwise": lambda: {
            "decoder": any_decoder(Blockwise([Bernoulli(8), TFPDistribution("Beta", 4)]))
        },
    }[case]()
    vae = make_vae(**settings, estimator="A", compiled=False)
    vae.compile()
    assert np.all(np.isfinite(vae.fit(x, epochs=3, verbose=0).history["elbo"]))
    assert vae.sample(2).shape == (2, PIXELS)


def test_the_bound_of_a_conditional_model_is_of_log_p_of_x_given_y():
    """p(x|z, y) = N(W z + U y + b, s^2): at the exact posterior the bound is log p(x|y)."""
    oracle = LinearGaussian(orthogonal=True)
    u = np.random.default_rng(5).normal(size=(5, 3))
    y = np.eye(3, dtype="float32")[[0, 1, 2, 2]]
    x = oracle.draw(4) + y @ u.T
    exact = oracle.log_likelihood(x - y @ u.T)

    vae = oracle.exact_vae()  # of x - U y: its layers as they are, but that they read y as well
    a, c = oracle.posterior_map
    encoder = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(4), type(vae.encoder.layers[-1])(2)]
    )
    likelihood = TFPDistribution("Normal", 5, fixed={"scale": oracle.noise})
    network = keras.Sequential([keras.Input((5,)), keras.layers.Dense(5), likelihood])
    kernel = np.zeros((8, 4))
    kernel[:, :2] = np.concatenate([a.T, -(a @ u).T])
    log_variance = np.log(np.diag(oracle.posterior_covariance))
    encoder.layers[0].set_weights([kernel, np.concatenate([c, log_variance])])
    network.layers[0].set_weights([np.concatenate([oracle.w.T, u.T]), oracle.b])
    decoder = keras.Sequential([keras.Input((2,)), Conditional(network, given=3)])

    model = type(vae)(encoder, decoder, estimator="A")
    rows = np.concatenate([x, y], axis=1).astype("float32")
    np.testing.assert_allclose(model.elbo(rows), exact, atol=1e-3)
    estimate = marginal_likelihood.importance_sampling(model, rows, 10)
    np.testing.assert_allclose(estimate.log_likelihood, exact, atol=1e-3)
    # With a wider q it lies below by KL(q || p(z|x, y)), in closed form.
    encoder.layers[0].set_weights([kernel, np.concatenate([c, log_variance + 1])])
    gap = exact - oracle.bound(x - y @ u.T, a, c, log_variance + 1)
    assert np.all(gap > 0.3)
    means = np.mean([model.elbo(rows, n_samples=500) for _ in range(20)], axis=0)
    np.testing.assert_allclose(means, exact - gap, atol=0.1)


def test_a_conditional_model_is_saved_whole_and_refuses_to_draw(tmp_path):
    network = networks.bernoulli_decoder(2 + 3, 4, 8)
    decoder = keras.Sequential([keras.Input((2,)), Conditional(network, given=3)])
    vae = VAE(networks.gaussian_encoder(11, 4, 2), decoder, seed=0)
    rows = np.eye(11, dtype="float32")
    vae.compile(keras.optimizers.Adam(0.01))
    before = network.get_weights()
    vae.fit(rows, epochs=1, verbose=0)
    assert all(np.any(a != b) for a, b in zip(before, network.get_weights(), strict=True))
    vae.save(tmp_path / "conditional.keras")
    loaded = keras.saving.load_model(tmp_path / "conditional.keras")
    for model in (vae, loaded):
        model.set_evaluation_noise(7)
    np.testing.assert_allclose(loaded.elbo(rows), vae.elbo(rows), rtol=1e-5)
    for draw in (lambda: vae.sample(2), lambda: vae.reconstruct(rows)):
        with pytest.raises(ValueError, match="until y is given: call the network"):
            draw()


def conditional(likelihood, *hidden):
    """A VAE of rows [x, y], x of 6 numbers and y of 3."""
    dense = keras.layers.Dense(likelihood.params_size)
    network = keras.Sequential([keras.Input((5,)), *hidden, dense, likelihood])
    decoder = keras.Sequential([keras.Input((2,)), Conditional(network, given=3)])
    vae = VAE(networks.gaussian_encoder(9, 8, 2, seed=1), decoder, seed=1)
    vae.compile()
    return vae


def test_the_network_of_a_conditional_model_is_told_of_training():
    normalise, drop = keras.layers.BatchNormalization(), keras.layers.Dropout(0.9)
    vae = conditional(Bernoulli(6), keras.layers.Dense(50), normalise, drop)
    z, rows = np.ones((1, 2)), np.eye(9, dtype="float32")
    vae.fit(rows, batch_size=3, verbose=0)
    assert np.all(normalise.moving_mean.numpy() != 0)
    for training, values in ((True, 3), (False, 1)):
        nats = {float(vae.decode(z, training).log_prob(rows[:1])[0]) for _ in range(3)}
        assert len(nats) == values


def test_the_data_of_a_conditional_model_are_checked():
    rng = np.random.default_rng(0)
    y = np.eye(3)[rng.integers(0, 3, 200)]
    counts = np.concatenate([rng.integers(0, 9, (200, 6)), y], 1)
    poisson = conditional(TFPDistribution("Poisson", 6))
    nats = []
    for dtype in ("uint8", "float32"):  # counts, and y, are numbers
        poisson.set_evaluation_noise(0)
        nats.append(poisson.elbo(counts.astype(dtype)))
    np.testing.assert_array_equal(*nats)
    poisson.fit(counts, verbose=0)
    grey = np.concatenate([rng.integers(0, 256, (200, 6)), y], 1)
    for vae, bad, message in (
        (poisson, counts + 0.5, "it needs integers"),
        (conditional(TFPDistribution("Exponential", 6)), -1 - counts, "must be non-negative"),
        (conditional(Bernoulli(6)), grey.astype("float32"), r"needs them in \[0, 1\]"),
        (conditional(Bernoulli(6)), grey.astype("uint8"), "ambiguous, since y is no pixels"),
    ):
        seen = vae.examples_seen
        with pytest.raises(ValueError, match=message):
            vae.fit(bad, verbose=0)
        assert vae.examples_seen == seen


def test_full_vb_refuses_a_conditional_decoder():
    vae = conditional(Bernoulli(6))
    with pytest.raises(ValueError, match=r"those of layers\.Conditional: use VAE"):
        FullVB(vae.encoder, vae.decoder, n_train=10)


def test_blocks_of_z():
    """Each block of the posterior within that of the prior. HMC moves over all reals."""
    mixed = tfd.Blockwise([tfd.Dirichlet([2.0, 2.0, 2.0]), tfd.MultivariateNormalDiag([0.0])])
    with pytest.raises(ValueError, match=r"over \(0, 1\) x \(-inf, inf\) with a simplex, but HMC"):
        MonteCarloEM(networks.bernoulli_decoder(4, 8, PIXELS), 10, prior=mixed)
    blocks = [DiagonalGaussian(1), TFPDistribution("Gamma", 1)]
    encoder = keras.Sequential([keras.Input((PIXELS,)), keras.layers.Dense(4), Blockwise(blocks)])
    decoder = networks.bernoulli_decoder(2, 8, PIXELS)
    vae = VAE(encoder, decoder, prior=Learned(Blockwise(blocks)), estimator="A")
    vae.compile()
    vae.fit(np.eye(PIXELS), verbose=0)
    positive = tfd.Blockwise([tfd.Gamma([1.0], [1.0]), tfd.Gamma([1.0], [1.0])])
    with pytest.raises(
        ValueError, match=r"z in \(-inf, inf\) x \(0, inf\), but .* only in \(0, inf\)\."
    ):
        VAE(encoder, decoder, prior=positive, estimator="A")


@pytest.mark.parametrize(
    ("network", "given", "message"),
    [
        (lambda: networks.bernoulli_decoder(5, 4, 8), 5, "takes 5 numbers, but must take more"),
        (lambda: networks.bernoulli_decoder(5, 4, 8), 0, "given"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), 2, "begin it with keras.Input"),
    ],
)
def test_a_conditional_layer_needs_sizes_that_leave_a_z(network, given, message):
    with pytest.raises(ValueError, match=message):
        Conditional(network(), given)
