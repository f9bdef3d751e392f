"""Checks before work begins, so that errors are clear and early."""

import importlib
import inspect
import math
import numbers
import operator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability.python.distributions.distribution import DiscreteDistributionMixin

from vae_keras.typing import Data, Decoding, Shape


def input_shape(network: keras.Model, name: str) -> tuple | None:
    """The input shape (M, *input) of `network`; None if it is not known yet.

    A subclassed model knows it once called or built. Raises ValueError for several inputs, and
    for what is no Keras model.
    """
    if not isinstance(network, keras.Model):
        raise ValueError(f"the {name} is a {type(network).__name__}: give a Keras model")
    inputs = getattr(network, "inputs", None)
    if inputs is None:
        config = network.get_build_config() or {}
        shapes = config.get("input_shape") or config.get("shapes_dict") or {}
        inputs = keras.tree.flatten(keras.tree.map_shape_structure(keras.KerasTensor, shapes))
    arguments = [
        argument.name
        for argument in inspect.signature(network.call).parameters.values()
        if argument.default is argument.empty
        and argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
        and argument.name not in ("training", "mask")
    ]
    n = max(len(inputs), len(arguments))
    if n > 1:
        raise ValueError(
            f"the {name} has {n} inputs, but this model passes it one: concatenate them and split "
            "them inside the network, or write a subclass of the model that passes all"
        )
    return inputs[0].shape if inputs else None


def count(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int; ValueError unless it is an integer (NumPy's too) of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name} is {value!r}, but must be an integer of at least {least}")
    return number


def one_input(x):
    """`x`, converted from a list or variable; ValueError unless it is one dense array."""
    if isinstance(x, tf.Variable | keras.Variable):
        return tf.convert_to_tensor(x)
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError("the data are a masked array: fill it first, x.filled(value)")
    if hasattr(x, "toarray") or isinstance(x, tf.SparseTensor | tf.SparseTensorSpec):
        raise ValueError("the data are sparse: make them dense first, for example x.toarray()")
    if isinstance(x, tf.RaggedTensor | tf.RaggedTensorSpec):
        raise ValueError("the data are ragged: give datapoints of one shape")
    if hasattr(x, "dtype") and hasattr(x, "shape") and not _is_real(x.dtype):
        name = getattr(x.dtype, "name", x.dtype)
        raise ValueError(f"the data are of type {name}, but must be real numbers")
    if isinstance(x, list):
        try:
            return one_input(np.asarray(x))
        except ValueError as error:
            if "inhomogeneous" not in str(error):
                raise
            raise ValueError(
                "the data are a list of parts that differ in shape, but this model reads one "
                "array: give datapoints of one shape, or concatenate several inputs into one"
            ) from error
    if isinstance(x, dict | tuple):
        raise ValueError(
            f"the data are a {type(x).__name__} of {len(x)}, but this model reads one array: "
            "concatenate several inputs into one, or write a subclass of the model that reads them"
        )
    return x


def _is_real(dtype):
    try:
        dtype = tf.as_dtype(dtype)
    except TypeError:  # of objects, dates and the like
        return False
    return dtype.is_floating or dtype.is_integer or dtype.is_bool


def stream_input(dataset: tf.data.Dataset) -> tf.TensorSpec:
    """The spec of x in a stream of x, (x,) or (x, y); ValueError for several inputs."""
    spec = dataset.element_spec
    return one_input(spec[0] if isinstance(spec, tuple) else spec)


def check_distribution(output: Any, network: str) -> None:
    """Raise ValueError unless the `output` of `network` is a distribution."""
    if not isinstance(output, tfd.Distribution):
        what = "tensor" if tf.is_tensor(output) else type(output).__name__
        raise ValueError(
            f"the {network} gives a {what}, not a distribution: end it in a layer of "
            "vae_keras.layers, such as DiagonalGaussian"
        )


def check_codes(latent_shape: Shape, input_shape: Shape | None) -> None:
    """Raise ValueError if the decoder's `input_shape` (M, *input) is known and is not z's."""
    if input_shape is not None and not tf.TensorShape(input_shape[1:]).is_compatible_with(
        latent_shape
    ):
        raise ValueError(
            f"the encoder gives z of shape {tuple(latent_shape)}, but the decoder reads "
            f"{tuple(input_shape[1:])}: make them equal"
        )


def check_events(posterior: tfd.Distribution, prior: tfd.Distribution) -> None:
    """Raise ValueError unless `posterior` and `prior` are over events of one shape."""
    if posterior.event_shape != prior.event_shape:
        raise ValueError(
            f"the prior is over events of shape {tuple(prior.event_shape)}, but the posterior "
            f"over {tuple(posterior.event_shape)}: make them equal"
        )


def check_support(posterior: tfd.Distribution, prior: tfd.Distribution) -> None:
    """Raise ValueError if `posterior` draws z that have no density under `prior`."""
    if isinstance(_base(prior), DiscreteDistributionMixin):
        raise ValueError(f"the prior {prior.name} is discrete, but z must be continuous")
    inner, outer = _support(posterior), _support(prior)
    if inner is not None and outer is not None:
        if not inner.within(outer):
            raise ValueError(
                f"the posterior {posterior.name} gives z in {inner}, but the prior {prior.name} "
                f"has a density only in {outer}. Choose a prior whose support contains the "
                "posterior's"
            )
    elif not np.all(np.isfinite(prior.log_prob(posterior.sample(100, seed=(0, 0))))):
        raise ValueError(
            f"the posterior {posterior.name} draws z that have no density under the prior "
            f"{prior.name}: choose a prior whose support contains the posterior's"
        )


class _Support(NamedTuple):
    """The bounds of each number of an event, as two arrays; or a simplex, if only of one block."""

    low: np.ndarray
    high: np.ndarray
    simplex: bool = False

    def __str__(self):
        if self.simplex and not self.low.ndim:
            return "a simplex"
        bounds = np.broadcast_arrays(self.low, self.high)
        each = dict.fromkeys(f"({a:g}, {b:g})" for a, b in zip(*map(np.ravel, bounds), strict=True))
        return " x ".join(each) + " with a simplex" * self.simplex

    def within(self, other: "_Support") -> bool:
        inside = np.all((self.low >= other.low) & (self.high <= other.high))
        return self.simplex == other.simplex and bool(inside)


INDEPENDENT = tfd.Independent.__bases__[0]  # also without CompositeTensor
FAR = 1e30  # an unconstrained value; images near it count as infinite


def _support(distribution: tfd.Distribution) -> _Support | None:
    """The support, from TFP's bijector onto it; None if TFP has none."""
    batch = tuple(range(len(distribution.batch_shape)))
    distribution = _base(distribution)
    if isinstance(distribution, tfd.MixtureSameFamily):
        return _support(distribution.components_distribution)
    if type(distribution).__name__.endswith("TransformedDistribution"):  # named families differ
        return None  # the limits of an arbitrary flow do not bound it
    if isinstance(distribution, tfd.Dirichlet | tfd.RelaxedOneHotCategorical):
        return _Support(np.zeros(()), np.ones(()), simplex=True)  # TFP's needs an older NumPy
    if isinstance(distribution, tfd.Blockwise):
        lows, highs, simplex = [], [], False
        for block in distribution.distributions:
            support = _support(block)
            if support is None:
                return None
            lows.append(np.broadcast_to(support.low, block.event_shape).ravel())
            highs.append(np.broadcast_to(support.high, block.event_shape).ravel())
            simplex |= support.simplex
        return _Support(np.concatenate(lows), np.concatenate(highs), simplex)
    bijector = distribution.experimental_default_event_space_bijector()
    if bijector is None:
        return None
    event = distribution.event_shape
    free = bijector.inverse_event_shape(event)
    if free.num_elements() < event.num_elements():
        return _Support(np.zeros(()), np.ones(()), simplex=True)
    far = tf.fill((*distribution.batch_shape, *free), FAR)
    low, high = (np.asarray(bijector.forward(sign * far)) for sign in (-1.0, 1.0))
    low, high = low.min(batch, initial=np.inf), high.max(batch, initial=-np.inf)  # over the batch
    near = FAR**0.5
    return _Support(np.where(low < -near, -np.inf, low), np.where(high > near, np.inf, high))


def check_dreams(posterior: tfd.Distribution, prior: tfd.Distribution) -> None:
    """Raise ValueError unless `posterior` has a density wherever `prior` draws z."""
    inner, outer = _support(prior), _support(posterior)
    if inner is not None and outer is not None and not inner.within(outer):
        raise ValueError(
            f"the sleep phase trains the encoder on z drawn from the prior {prior.name}, over "
            f"{inner}, but its posterior {posterior.name} is over {outer}: make these equal"
        )


def check_one_support(posterior: tfd.Distribution, prior: tfd.Distribution) -> None:
    """Raise ValueError unless both have the same support."""
    one, other = _support(posterior), _support(prior)
    if one is not None and other is not None and not (one.within(other) and other.within(one)):
        raise ValueError(
            f"prior_share mixes draws from the encoder, over {one}, and the prior, over {other}: "
            "leave it at 0, because these supports differ"
        )


def check_kl_weight(weight: Any, estimator: str | None) -> None:
    """Raise ValueError unless `weight` is a valid KL weight (number or schedule) for `estimator`.

    A schedule is checked only at iterations 0 and powers of ten, up to 10^7.
    """
    if isinstance(weight, keras.optimizers.schedules.LearningRateSchedule):
        for step in (0, *(10**k for k in range(8))):
            value = float(weight(step))
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(
                    f"the schedule of kl_weight gives {value:g} at iteration {step:,}, but must "
                    "give finite numbers of at least 0"
                )
    elif isinstance(weight, bool) or not isinstance(weight, numbers.Real):
        raise ValueError(
            f"kl_weight is a {type(weight).__name__}: give a number of at least 0, or a "
            "keras.optimizers.schedules.LearningRateSchedule, "
            "such as PolynomialDecay(0.0, 1000, 1.0) for a warm-up"
        )
    elif not (math.isfinite(weight) and float(weight) >= 0):
        raise ValueError(f"kl_weight is {weight}, but must be a finite number of at least 0")
    if estimator == "IW" and weight != 1:
        raise ValueError(
            "kl_weight is the weight of the KL, but the importance-weighted bound has no KL term: "
            "use estimator 'A' or 'B', or leave kl_weight at 1"
        )


def check_fixed_prior(prior: tfd.Distribution | keras.Layer | None, algorithm: str) -> None:
    """Raise ValueError for a learned prior."""
    if isinstance(prior, keras.Layer):
        raise ValueError(
            f"{algorithm} cannot learn a prior in this library: give a distribution, or train a VAE"
        )


def check_inputs(event_shape: Shape, input_shape: Shape) -> None:
    """Raise ValueError unless the decoder gives a distribution over what the encoder reads."""
    if tuple(event_shape) != tuple(input_shape):
        raise ValueError(
            f"the decoder gives a distribution over {tuple(event_shape)}, but the "
            f"encoder reads {tuple(input_shape)}: make them equal"
        )


def _base(distribution):
    while isinstance(distribution, INDEPENDENT):
        distribution = distribution.distribution
    return distribution


def check_movable(model: Decoding) -> None:
    """Raise ValueError unless HMC can run: z are vectors of reals, and there is a gradient."""
    z = model.prior.sample(1, seed=(0, 0))
    if z.shape.rank != 2:
        raise ValueError(
            f"z is of shape {tuple(z.shape[1:])}, but HMC here moves in a space of vectors (d,): "
            "flatten the latent space, and reshape z in the decoder"
        )
    support = _support(model.prior)
    if support is not None and (support.simplex or np.isfinite([support.low, support.high]).any()):
        raise ValueError(
            f"the prior {model.prior.name} is over {support}, but HMC here moves over all reals: "
            "estimate log p(x) with importance_sampling"
        )
    with tf.GradientTape() as tape:
        tape.watch(z)
        likelihood = model.decode(z)
        log_likelihood = likelihood.log_prob(tf.zeros_like(likelihood.mean()))
    if tape.gradient(log_likelihood, z) is None:
        raise ValueError(
            "log p(x|z) has no gradient in z, so HMC cannot move: the decoder must be "
            "differentiable, without rounding or sampling between z and its distribution"
        )


def check_shape(shape: Shape, input_shape: Shape) -> None:
    """Raise ValueError unless data of `shape` are at least one datapoint of `input_shape`."""
    if len(shape) != 1 + len(input_shape) or tuple(shape[1:]) != tuple(input_shape):
        raise ValueError(
            f"the data are of shape {_show(shape)}, but the model reads "
            f"{_show((None, *input_shape))}: {_way_out(tuple(shape), tuple(input_shape))}"
        )
    if shape[0] == 0:
        raise ValueError(EMPTY)


EMPTY = "the data set is empty: give at least one datapoint"


def _way_out(shape, input_shape):
    """What to do with data of a shape that is not (N, *input_shape). Not every reshape keeps them
    whole: it would cut images of another size into pieces."""
    sizes = shape[1:]
    long, expected = ([n for n in axes if n != 1] for axes in (sizes, input_shape))
    flat = len(sizes) == 1 or len(input_shape) == 1
    same_size = None not in sizes and math.prod(sizes) == math.prod(input_shape)
    if shape == input_shape or long == expected or (flat and same_size):
        return f"reshape them, x.reshape{_show((-1, *input_shape))}"
    if len(sizes) > 2 and (*sizes[1:], sizes[0]) == input_shape:
        return "move their channels to the end, np.moveaxis(x, 1, -1)"
    return "give datapoints of that shape, or build the networks for these"


def _show(shape: Shape) -> str:
    return "(" + ", ".join("n" if size is None else str(size) for size in shape) + ")"


def check_values(x: Data, unit_interval: bool | np.ndarray, pixels: bool | None) -> None:
    """Raise ValueError for NaN or infinite values, or for pixels outside [0, 1] where needed.

    If uint8 are `pixels`, read as x / 255, also if all are 0 or 1: no image is so dark. If that is
    None, uint8 are refused.
    """
    x = np.asarray(x)
    if x.dtype == np.uint8 and pixels is None:
        raise ValueError(
            "rows [x, y] in uint8 are ambiguous, since y is no pixels: pass float32, with the "
            "pixels divided by 255"
        )
    if x.dtype == np.uint8 and pixels:
        if x.max() == 1:
            raise ValueError(
                "these uint8 data are all 0 or 1, but uint8 is read as pixels, x / 255: pass "
                "x.astype('float32') to keep them as 0 and 1"
            )
        return
    low, high = x.min(), x.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(np.sum(~np.isfinite(x)))
        raise ValueError(
            f"{bad:,} of {x.size:,} values are NaN or infinite: remove those datapoints or fill in "
            "the values before training"
        )
    if isinstance(unit_interval, np.ndarray):
        x = x[:, unit_interval]
        low, high = x.min(), x.max()
    if np.any(unit_interval) and (low < 0 or high > 1):
        way_out = "divide by their maximum" if low >= 0 else "scale them, (x - min) / (max - min)"
        if pixels:
            way_out += ", or pass uint8 images, which are read as x / 255"
        raise ValueError(
            f"pixels lie in [{low:g}, {high:g}], but a Bernoulli decoder needs them in [0, 1]: "
            f"{way_out}"
        )


def check_rows_spec(dataset: tf.data.Dataset) -> None:
    """Raise ValueError unless it is a stream of (x, row numbers)."""
    spec = dataset.element_spec
    rows: Any = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else None
    if getattr(rows, "dtype", None) not in (tf.int32, tf.int64) or rows.shape.rank not in (1, None):
        raise ValueError(
            "each chain belongs to one datapoint, so a stream needs minibatches (x, row numbers), "
            f"row numbers int32 or int64 of shape (M,), not {rows}; or fit on an array"
        )


def check_rows(rows: np.ndarray, n_train: int) -> None:
    """Raise ValueError unless all row numbers are from 0 to n_train - 1 and differ."""
    bad = rows[(rows < 0) | (rows >= n_train)]
    if bad.size:
        raise ValueError(
            f"{bad[0]} is not a row of {n_train:,} training datapoints: number them from 0 to "
            f"{n_train - 1:,}, each by its place in the training set"
        )
    numbers, times = np.unique(rows, return_counts=True)
    if np.any(times > 1):
        raise ValueError(
            f"a minibatch has row {numbers[times > 1][0]} more than once: give row numbers, not "
            "labels, and each row once per minibatch (batch a stream before you repeat it)"
        )


def package(name: str, what: str) -> Any:
    """Import the optional module `name`; raises ImportError, saying that `what` needs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        name = name.partition(".")[0]
        raise ImportError(
            f"{what} needs {name}, an optional dependency: pip install {name}, or "
            '"vae-keras[reproduction]"'
        ) from error
