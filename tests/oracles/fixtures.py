"""Shared fixtures. Nothing here touches the user's caches, store or figures."""

import ctypes
import gc
import io
import os
import subprocess
import sys

os.environ.setdefault("MPLBACKEND", "agg")
# XLA compiles for three times as long as the small programs of the tests then run: here it makes
# the same programs without optimising their machine code; so it does in the processes of a test
# that asks for the fixture `xla`. All others may have something to run.
XLA_FLAGS = os.environ["XLA_FLAGS"] = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)

import vae_keras  # first: it imports TensorFlow without the words that this begins with

# isort: split
import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from oracles.browser import NOWHERE
from vae_keras import _programs, datasets
from vae_keras.layers import Bernoulli, DiagonalGaussian
from vae_keras.reproduction import paths

tf.config.set_logical_device_configuration(  # two devices, for those tests that divide the work
    tf.config.list_physical_devices("CPU")[0], 2 * [tf.config.LogicalDeviceConfiguration()]
)
tf.function(lambda: tf.zeros(1), jit_compile=True)()  # XLA reads its flags
del os.environ["XLA_FLAGS"]
gc.freeze()  # what was imported stays: the collector need not go through it time and again
PIXELS, LATENT = 12, 2
GROWN = 64 * 2**20  # bytes by which a process grows before it is looked for what can go
_libc, _process = ctypes.CDLL(None), psutil.Process()
_freed = [_process.memory_info().rss]

if not os.environ.get("VAE_KERAS_DATA") and all(map(datasets.locate, datasets._REMOTE)):
    os.environ["VAE_KERAS_DATA"] = str(datasets.keras_cache())  # each test has a cache of its own

# XLA takes seconds to compile what a test runs for a moment, and never frees a program: "auto"
# means it where a test asks for the fixture `xla`, and in other processes, as ever.
_suits_xla, _programs.suits_xla = _programs.suits_xla, lambda model: False


@pytest.fixture
def xla(monkeypatch):
    """XLA compiles what a user's would, here and in processes that a test starts."""
    monkeypatch.setenv("XLA_FLAGS", XLA_FLAGS)
    monkeypatch.setattr(_programs, "suits_xla", _suits_xla)


@pytest.fixture(autouse=True)
def _own_places(tmp_path_factory, monkeypatch):
    """Seeds, a cache and a store of each test's own, no network, nothing looked for in vain yet."""
    keras.utils.set_random_seed(0)
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # a notebook is told by that
    monkeypatch.setattr(datasets, "_missing", {})
    monkeypatch.setattr(datasets, "announced", set())
    monkeypatch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path_factory.mktemp("results")))
    monkeypatch.setenv("VAE_KERAS_JOBS", "0")  # no other process: it would import TensorFlow anew
    monkeypatch.setenv("VAE_KERAS_CLUSTER", "")
    with plt.rc_context():  # lessons set a style
        yield
    plt.close("all")


def pytest_runtest_teardown(item, nextitem):
    """What tests made is freed now and then: models, their graphs, Keras's own state."""
    if _process.memory_info().rss < _freed[0] + GROWN and nextitem is not None:
        return
    keras.backend.clear_session()
    # TensorFlow registers each custom gradient that a graph has, and with it the graph, for ever.
    gradients = ops.gradient_registry._registry
    for name in [name for name in gradients if name.startswith("CustomGradient-")]:
        del gradients[name]
    gc.collect()
    if hasattr(_libc, "malloc_trim"):  # glibc keeps what was freed
        _libc.malloc_trim(0)
    _freed[0] = _process.memory_info().rss


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A store for those tests of a file that are to share their runs."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="session")
def committed_file():
    """A function that reads a file as git has it, whatever was drawn over it since; b"" of none."""

    def read(file):
        command = ["git", "show", f":{file}"]
        done = subprocess.run(command, cwd=paths.ROOT, capture_output=True)
        if done.returncode == 0:
            return done.stdout
        return (paths.ROOT / file).read_bytes() if (paths.ROOT / file).exists() else b""

    return read


@pytest.fixture(scope="session")
def committed(committed_file):
    """A function that reads a table of the committed figures."""

    def read(name, folder="standard"):
        return pd.read_csv(io.BytesIO(committed_file(f"figures/{folder}/{name}.csv")))

    return read


@pytest.fixture
def x(uneven):
    """200 grey images of 12 pixels: two minibatches of 100, so that one program is traced."""
    return uneven[:200]


@pytest.fixture
def uneven():
    """250 grey images of 12 pixels: two full minibatches of 100 and a partial one."""
    return np.random.default_rng(0).uniform(size=(250, PIXELS)).astype("float32")


@pytest.fixture
def make_vae():
    """A function that makes a small VAE, anything about it to be overridden."""

    def make(encoder=None, decoder=None, latent=LATENT, compiled=True, **kwargs):
        keras.utils.set_random_seed(0)
        vae = vae_keras.VAE(
            encoder or vae_keras.networks.gaussian_encoder(PIXELS, 8, latent),
            decoder or vae_keras.networks.bernoulli_decoder(latent, 8, PIXELS),
            **kwargs,
        )
        if compiled:
            vae.compile()
        return vae

    return make


@pytest.fixture
def any_encoder():
    """A function that makes an encoder which ends in a given distribution layer."""

    def make(layer):
        return keras.Sequential(
            [keras.Input((PIXELS,)), keras.layers.Dense(layer.params_size), layer]
        )

    return make


@pytest.fixture
def any_decoder():
    """A function that makes a decoder of `latent` numbers, with a given distribution layer."""

    def make(layer=None, latent=LATENT):
        layer = layer or Bernoulli(PIXELS)
        return keras.Sequential(
            [keras.Input((latent,)), keras.layers.Dense(layer.params_size), layer]
        )

    return make


@pytest.fixture
def gaussian():
    return DiagonalGaussian(LATENT)
