"""The data rules, with a small MNIST and a small Frey Face served on loopback."""

import dataclasses
import gzip
import hashlib
import http.server
import io
import re
import socket
import sys
import threading
import warnings
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io

from vae_keras import datasets
from vae_keras.__main__ import main
from vae_keras.datasets import DataError

rng = np.random.RandomState(0)
DIGITS = {
    "x_train": rng.randint(0, 256, (6, 28, 28)).astype(np.uint8),
    "y_train": np.arange(6, dtype=np.uint8),
    "x_test": rng.randint(0, 256, (3, 28, 28)).astype(np.uint8),
    "y_test": np.arange(3, dtype=np.uint8),
}
FRAMES = rng.randint(8, 239, (560, 1965)).astype(np.uint8)


def npz(arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def mat(frames):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"ff": frames})
    return buffer.getvalue()


def idx_header(*shape):
    """The header of an IDX file of uint8, written out by hand."""
    sizes = b"".join(size.to_bytes(4, "big") for size in shape)
    return bytes([0, 0, 8, len(shape)]) + sizes


IDX = {key: idx_header(*array.shape) + array.tobytes() for key, array in DIGITS.items()}
FILES = {"/mnist.npz": npz(DIGITS), "/frey_rawface.mat": mat(FRAMES)}
for key, file in zip(
    ("x_train", "y_train", "x_test", "y_test"), datasets._idx_files("/idx"), strict=True
):
    FILES[file] = gzip.compress(IDX[key])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        answer = self.server.files.get(self.path)
        if answer is None:
            return self.send_error(403)
        body, promised = answer if isinstance(answer, tuple) else (answer, len(answer))
        self.send_response(200)
        if promised is not None:
            self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """Serves FILES; the kit's sources and hashes are those of FILES, and no other host is asked."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.asked = dict(FILES), []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    host = f"http://127.0.0.1:{server.server_port}"
    hashes = {
        "mnist": {key: hashlib.sha256(value).hexdigest() for key, value in IDX.items()},
        "frey_face": {"x": hashlib.sha256(FRAMES.T.tobytes()).hexdigest()},
    }
    sources = {
        "mnist": ((f"{host}/mnist.npz",), datasets._idx_files(f"{host}/idx")),
        "frey_face": ((f"{host}/frey_rawface.mat",), (f"{host}/second.mat",)),
    }
    for name, remote in datasets._REMOTE.items():
        changed = dataclasses.replace(remote, sha256=hashes[name], sources=sources[name])
        monkeypatch.setitem(datasets._REMOTE, name, changed)
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "datasets"


def test_download_verify_keep_and_find_again(server, cache, capsys):
    data = datasets.load("mnist")
    np.testing.assert_array_equal(data.x_train, DIGITS["x_train"].reshape(6, 784))
    np.testing.assert_array_equal(data.y_test, DIGITS["y_test"])
    assert not data.embedded
    assert "mnist.npz" in capsys.readouterr().err
    assert [file.name for file in cache.iterdir()] == ["mnist.npz"]
    again = datasets.load("mnist")
    np.testing.assert_array_equal(again.x_test, data.x_test)
    assert server.asked == ["/mnist.npz"]


def test_the_second_source_is_tried(server, cache):
    del server.files["/mnist.npz"]  # 403
    data = datasets.load("mnist")
    np.testing.assert_array_equal(data.x_train, DIGITS["x_train"].reshape(6, 784))
    assert len(server.asked) == 5
    datasets.load("mnist")
    assert len(server.asked) == 5
    server.files["/second.mat"] = server.files.pop("/frey_rawface.mat")
    assert datasets.load("frey_face").x_train.shape == (1565, 560)


BROKEN = {
    "truncated transfer": (
        (FILES["/frey_rawface.mat"][:5000], 10**6),
        "truncated: 5,000 of 1,000,000 bytes received",
    ),
    "truncated file": (FILES["/frey_rawface.mat"][:5000], "truncated or "),
    "html": (b"<!DOCTYPE html><html>403, but politely</html>", "a web page"),
    "html after space": (b"\n  <HTML><body>", "a web page"),
    "empty": (b"", "truncated or "),
    "other pixels": (mat(FRAMES[:, ::-1]), "corrupted: .*SHA-256"),
    "other keys": (npz(DIGITS), "truncated or not a data file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_download_is_said_and_not_kept(server, cache, name):
    server.files["/frey_rawface.mat"], message = BROKEN[name]
    with pytest.raises(DataError, match=r"no source .* put frey_rawface.mat in a folder") as error:
        datasets.load("frey_face")
    assert re.search(message, next(iter(error.value.answers.values())), re.DOTALL)
    assert list(cache.iterdir()) == []


def test_a_download_is_as_long_as_the_server_said(server):
    """A transfer that ends early says so, whatever a reader of what came would make of it."""
    host = f"http://127.0.0.1:{server.server_port}"
    body = bytes(range(256)) * 1000  # more than is read at a time
    server.files |= {"/whole": body, "/silent": (body, None), "/cut": (body, len(body) + 1)}
    assert datasets._fetch(f"{host}/whole") == body
    assert datasets._fetch(f"{host}/silent") == body  # of no length that is known
    with pytest.raises(DataError, match="truncated: 256,000 of 256,001 bytes received"):
        datasets._fetch(f"{host}/cut")


WHOLE = FILES["/mnist.npz"]
FIRST = datasets._idx_files("/idx")[0]
BROKEN_MNIST = {  # what is served in the place of one file
    "flipped bits": {"/mnist.npz": WHOLE[:900] + bytes([WHOLE[900] ^ 255]) + WHOLE[901:]},
    "cut": {"/mnist.npz": WHOLE[:-300]},
    "html": {"/mnist.npz": b"<html></html>"},
    "a pickle": {"/mnist.npz": npz(DIGITS | {"x_train": np.array([print], dtype=object)})},
    "empty idx": {FIRST: b""},
    "html for idx": {FIRST: b"<html></html>"},
    "cut idx": {FIRST: gzip.compress(b"\0\0\x08")},
    "another idx": {FIRST: gzip.compress(IDX["y_test"])},
}


@pytest.mark.parametrize("name", BROKEN_MNIST)
def test_a_broken_mnist(server, cache, name):
    broken = BROKEN_MNIST[name]
    others = {file: body for file, body in FILES.items() if file.startswith("/idx")}
    server.files = (others if FIRST in broken else {}) | broken
    said = r"No MNIST found, and no source had a valid .*put mnist.npz in a folder"
    with pytest.raises(DataError, match=said):
        datasets.load("mnist")


def test_an_unwritable_cache_is_said_before_anything_is_fetched(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot write to the data cache .*KERAS_HOME"):
        datasets.load("mnist")
    assert server.asked == []


def test_the_configured_folder_comes_first(server, cache, monkeypatch, tmp_path):
    monkeypatch.setenv("VAE_KERAS_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere', which is not a folder"):
        datasets.load("mnist")
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("VAE_KERAS_DATA", str(folder))
    (folder / "mnist.npz").write_bytes(FILES["/mnist.npz"])
    assert datasets.load("mnist").source == "local file mnist.npz"
    assert server.asked == []


@pytest.mark.parametrize("allow_embedded", [False, True])
def test_a_damaged_local_file_is_never_passed_over(server, monkeypatch, tmp_path, allow_embedded):
    (tmp_path / "mnist.npz").write_bytes(FILES["/mnist.npz"][:200])
    monkeypatch.setenv("VAE_KERAS_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"mnist.npz is truncated.*delete it or replace it"):
        datasets.load("mnist", allow_embedded=allow_embedded)


def test_embedded_data_stand_in_only_where_allowed_and_with_a_warning(server, cache):
    server.files = {}
    with pytest.raises(DataError, match="`python -m vae_keras data` shows each answer") as error:
        datasets.load("mnist")
    assert ["403" in answer for answer in error.value.answers.values()] == [True, True]
    with pytest.warns(datasets.EmbeddedDataWarning, match="EMBEDDED DATA stand in: mnist_5k"):
        digits = datasets.load("mnist", allow_embedded=True)
    with pytest.warns(UserWarning, match="EMBEDDED DATA stand in: synthetic_faces"):
        faces = datasets.load("frey_face", allow_embedded=True)
    assert digits.embedded
    assert "embedded" in digits.title
    assert faces.embedded
    assert "synthetic" in faces.title
    asked = len(server.asked)
    with pytest.warns(datasets.EmbeddedDataWarning):
        datasets.load("mnist", allow_embedded=True)
    assert len(server.asked) == asked  # once a process


def test_a_machine_without_network_is_noticed_once(monkeypatch, cache, capsys):
    asked = []

    def unreachable(url):
        asked.append(url)
        raise URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    monkeypatch.setattr(datasets, "_fetch", unreachable)
    missing = datasets.stand_ins(["frey_face", "mnist"])
    assert len(asked) == len(datasets._REMOTE["mnist"].sources)  # for Frey Face nobody is asked
    sentence = datasets.sentence(missing)
    assert "No MNIST and no Frey Face found, and there is no network" in sentence
    assert "EMBEDDED DATA stand in: mnist_5k and synthetic_faces" in sentence
    assert "put mnist.npz and frey_rawface.mat in a folder" in sentence
    assert len(sentence) < 300
    assert datasets.report() == 1  # the details, on request: everybody is asked again
    out = capsys.readouterr().out
    for remote in datasets._REMOTE.values():
        assert all(f"{source[0]}: <urlopen error" in out for source in remote.sources)


def test_what_a_run_has_told_its_notebooks_do_not_tell_again(server, cache, monkeypatch):
    monkeypatch.setattr(datasets, "announced", {"mnist", "frey_face"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert datasets.load("mnist", allow_embedded=True).embedded
    assert server.asked == []


def test_the_warning_is_one_line_and_comes_once(monkeypatch, cache):
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    monkeypatch.delattr(datasets, "__warningregistry__", raising=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for name in ("mnist", "mnist", "frey_face"):
            datasets.load(name, allow_embedded=True)
    said = [warnings.formatwarning(w.message, w.category, w.filename, w.lineno) for w in caught]
    assert ["EmbeddedDataWarning" in one for one in said] == [True, True]  # of MNIST, of Frey Face
    assert all(one.count("\n") == 1 and len(one) < 300 and "/tmp" not in one for one in said)


def test_the_data_command_says_where_they_are(server, cache, capsys):
    assert datasets.report() == 0
    out = capsys.readouterr().out
    assert "mnist: http://127.0.0.1" in out
    assert "frey_face: http://127.0.0.1" in out
    assert datasets.report() == 0
    assert "mnist: local file mnist.npz, verified" in capsys.readouterr().out


def test_frey_face_says_that_it_needs_scipy(monkeypatch, tmp_path, capsys):
    (tmp_path / "frey_rawface.mat").write_bytes(b"MATLAB 5.0")
    monkeypatch.setenv("VAE_KERAS_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "_REMOTE", {"frey_face": datasets._REMOTE["frey_face"]})
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    said = "Frey Face, a MATLAB file, needs scipy, an optional dependency: pip install"
    with pytest.raises(ImportError, match=said):
        datasets.load("frey_face")
    assert main(["data"]) == 1
    assert capsys.readouterr().err.startswith(said)


def test_an_unknown_name():
    with pytest.raises(ValueError, match="unknown data set 'MNIST': one of mnist, frey_face"):
        datasets.load("MNIST")
    with pytest.raises(ValueError, match="'mnist_5k': one of mnist, frey_face"):
        datasets.locate("mnist_5k")


@pytest.mark.parametrize(
    ("name", "n_train", "n_test", "pixels"),
    [("mnist_5k", 4000, 1000, 784), ("synthetic_faces", 1600, 400, 560)],
)
def test_embedded_sets(name, n_train, n_test, pixels):
    data = datasets.load(name)
    assert data.x_train.shape == (n_train, pixels)
    assert data.x_test.shape == (n_test, pixels)
    assert data.x_train.dtype == np.uint8
    assert data.x_train.max() > 200
    assert pixels == np.prod(data.image_shape)
    rows = {row.tobytes() for row in data.x_train}
    assert not any(row.tobytes() in rows for row in data.x_test)
    again = datasets.load(name)
    np.testing.assert_array_equal(data.x_test, again.x_test)


def test_drawn_faces_are_nearly_linear_in_their_two_factors():
    """So two latent variables can find both: two directions hold most of what varies, one each."""
    factors = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    faces = datasets.draw_faces(factors).astype(float)
    codes, sizes, _ = np.linalg.svd(faces - faces.mean(0), full_matrices=False)
    share = sizes**2 / np.sum(sizes**2)
    assert share[:2].sum() > 0.6
    assert share[2] < 0.5 * share[1]
    of_factors = np.linalg.lstsq(codes[:, :2], factors, rcond=None)[0]
    left = factors - codes[:, :2] @ of_factors
    assert np.all(left.var(0) < 0.1 * factors.var(0))


def test_mnist_5k_has_every_digit_in_both_parts():
    data = datasets.load("mnist_5k")
    assert np.bincount(data.y_train).min() > 350
    assert np.bincount(data.y_test).min() > 70
    # The pixels of all that was measured on them, in their order.
    assert data.sha256 == "c02e02ae3bfeeff8fbd0eaa7c81af9047cd266f790d15bcd3cc236df4a6a2679"


def test_synthetic_faces_have_their_two_factors():
    data = datasets.load("synthetic_faces")
    clean = datasets.draw_faces(data.y_train).astype(float)
    noise = data.x_train - clean
    assert 19.5 < noise.std() < 20.5
    corners = datasets.draw_faces(np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])).astype(float)
    assert np.sqrt(np.mean((corners[0] - corners[1]) ** 2)) > 20
    assert np.sqrt(np.mean((corners[2] - corners[3]) ** 2)) > 20
    mirrored = corners[0].reshape(28, 20)[:, ::-1].ravel()
    np.testing.assert_allclose(mirrored, corners[1], atol=1)


def test_the_hash_of_a_data_set_is_of_all_its_pixels():
    x = np.arange(12, dtype=np.uint8).reshape(4, 3)

    def hash_of(x_train, x_test, **labels):
        return datasets.Dataset("n", "t", x_train, x_test, (1, 3), "here", **labels).sha256

    first = hash_of(x[:2], x[2:])
    assert len(first) == 64
    assert hash_of(x[:2].copy(order="F"), x[2:], y_train=np.ones(2)) == first  # not the labels
    others = [
        (x[2:], x[:2]), (x[:3], x[3:]), (x[:2] + 1, x[2:]), (x[:2], x[2:] + 1),
        (x[:2].astype("int16"), x[2:]), (x[:2].reshape(3, 2), x[2:]),
    ]  # fmt: skip
    assert len({first, *(hash_of(*parts) for parts in others)}) == 1 + len(others)


def test_the_split_is_the_documented_one():
    """RandomState(0)'s permutation: its first are the test set, the others, in order, to train."""
    x = np.arange(20, dtype=np.uint8)[:, None]
    parts = datasets._split(x, n_test=5, y=np.arange(20))
    order = np.random.RandomState(0).permutation(20)
    np.testing.assert_array_equal(parts["x_test"][:, 0], order[:5])
    np.testing.assert_array_equal(parts["x_train"][:, 0], order[5:])
    np.testing.assert_array_equal(parts["y_test"], order[:5])
    np.testing.assert_array_equal(parts["y_train"], order[5:])
    assert set(datasets._split(x, n_test=5)) == {"x_train", "x_test"}


@pytest.mark.real_data
def test_the_real_sets():
    mnist, frey = datasets.load("mnist"), datasets.load("frey_face")
    assert mnist.x_train.shape == (60_000, 784)
    assert mnist.x_test.shape == (10_000, 784)
    assert frey.x_train.shape == (1565, 560)
    assert frey.x_test.shape == (400, 560)
    digits = {row.tobytes(): y for row, y in zip(mnist.x_train, mnist.y_train, strict=True)}
    few = datasets.load("mnist_5k")  # what its title says
    for x, labels in ((few.x_train, few.y_train), (few.x_test, few.y_test)):
        assert [digits.get(row.tobytes()) for row in x] == labels.tolist()
