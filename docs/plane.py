"""Make the page in which two shipped decoders run, in any browser, or a page of your own model.

python docs/plane.py [FILE]                       # writes docs/plane.html
python docs/plane.py FILE model.keras images.npy  # a model of your own, and images that it reads

`docs/plane.template.html` is the page. This script adds the decoders' weights, in the half
precision in which they are shipped, the codes of test images, and the digits themselves. Frames of
Frey Face are left out, since nothing states their terms. The codes need the real data. A test
compares the page with the shipped models, so make it again when these change.

Of your own model, the page holds no weights but the images that its decoder makes at the points of
a grid, and interpolates between them. So the decoder can be any network. Your images are in the
page too.
"""

import base64
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd

from vae_keras import datasets, distributions, pretrained
from vae_keras.models import LatentVariableModel
from vae_keras.reproduction import figures

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = Path(__file__).with_name("plane.template.html")
PAGE = Path(__file__).with_name("plane.html")
SLOT = "{{ models }}"
LINK = '<nav><a href="../README.md">vae_keras</a></nav>\n'
MODELS = {"digits": "aevb-mnist-2d", "faces": "aevb-frey-face-2d"}
POINTS = 1500  # the codes of at most so many images are shown
STEPS = 100  # codes are in whole hundredths
APART = 0.5  # the least distance between the names of two classes
COLUMNS = 50  # of the sheet of images
GRID = 33  # points on each side of the grid of a model of one's own


def parameters(model: LatentVariableModel) -> list[np.ndarray]:
    """W1, b1, W2, b2 of the decoder's mean; a Gaussian decoder's log variances come after it."""
    hidden, head = (model.decoder.get_layer(name) for name in ("hidden", "parameters"))
    (n_pixels,) = model.decoder.layers[-1].event_shape
    kernel, bias = (weights.numpy()[..., :n_pixels] for weights in (head.kernel, head.bias))
    return [hidden.kernel.numpy(), hidden.bias.numpy(), kernel, bias]


def packed(arrays: list[np.ndarray]) -> str:
    """The arrays one after the other in half precision, little-endian, in base64.

    Raises ValueError if they are not in half precision: the page would show another model.
    """
    whole = np.concatenate([array.ravel() for array in arrays])
    half = whole.astype("<f2")
    if not np.array_equal(half.astype(whole.dtype), whole):
        raise ValueError("the weights are not of half precision: take those of a shipped model")
    return base64.b64encode(half.tobytes()).decode()


def square(codes: np.ndarray) -> dict[str, Any]:
    """The smallest square with integer corners, around the codes' middle, that holds all codes."""
    low, high = np.floor(codes.min(0)), np.ceil(codes.max(0))
    side = np.max(high - low)
    low -= (side - (high - low)) // 2
    return {"low": low.astype(int).tolist(), "side": int(side)}


def sheet(images: np.ndarray) -> str:
    """Images of bytes, (N, height, width), row by row in one PNG, in base64."""
    _, height, width = images.shape
    full = np.pad(images, ((0, -len(images) % COLUMNS), (0, 0), (0, 0)))
    whole = full.reshape(-1, COLUMNS, height, width).swapaxes(1, 2).reshape(-1, COLUMNS * width, 1)
    file = io.BytesIO()
    keras.utils.save_img(file, whole, file_format="png", scale=False, optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def described(name: str) -> dict[str, Any]:
    """Everything on the page about one shipped model and the data it is shown with."""
    model, about = pretrained.load(name), pretrained.about(name)
    data = datasets.load(about["experiment"]["dataset"])
    codes = model.encode(data.x_test[:POINTS]).mean().numpy()
    weights = parameters(model)
    height, width = data.image_shape
    of_digits: dict[str, Any] = {}
    if data.y_test is not None:
        classes = data.y_test[:POINTS].astype(int)
        table = pd.DataFrame({"z1": codes[:, 0], "z2": codes[:, 1], "digit": classes})
        places = figures.class_places(table, APART)
        of_digits = {
            "classes": "".join(map(str, classes)),
            "places": [place.round(2).tolist() for place in places.values()],
            "images": sheet(data.x_test[:POINTS].reshape(-1, height, width)),
        }
    return {
        "model": name,
        "data": data.title,
        "samples": about["samples"],
        "height": height,
        "width": width,
        "hidden": len(weights[1]),
        **square(codes),
        **of_digits,
        "steps": STEPS,
        "codes": np.rint(codes * STEPS).astype(int).ravel().tolist(),
        "weights": packed(weights),
    }


def own(name: str, model: LatentVariableModel, x: np.ndarray) -> dict[str, Any]:
    """Everything on the page about a model of one's own, and images x, (N, *input).

    Raises ValueError unless it has two latent variables and its images are grey, (height, width)
    or (height, width, 1).
    """
    latent, (height, width, *channels) = tuple(model.prior.event_shape), (*model.event_shape, 0)
    if latent != (2,) or channels not in ([0], [1, 0]):
        raise ValueError(
            f"z is of shape {latent} and x of shape {model.event_shape}: the plane needs z of "
            "shape (2,), and x of shape (height, width) or (height, width, 1)"
        )
    codes = distributions.centre(model.encode(x[:POINTS])).numpy()
    of_codes = square(codes)
    z1, z2 = (np.linspace(low, low + of_codes["side"], GRID) for low in of_codes["low"])
    z = np.stack(np.meshgrid(z1, z2), axis=-1).reshape(-1, 2).astype("float32")  # row by row
    means = np.concatenate([distributions.centre(model.decode(row)) for row in np.split(z, GRID)])
    means, images = (
        np.rint(255 * np.clip(grey, 0, 1)).astype("uint8").reshape(-1, height, width)
        for grey in (means, x[:POINTS])
    )
    return {
        "model": name,
        "samples": model.samples_evaluated,
        "height": height,
        "width": width,
        **of_codes,
        "steps": STEPS,
        "codes": np.rint(codes * STEPS).astype(int).ravel().tolist(),
        "grid": GRID,
        "means": base64.b64encode(means.tobytes()).decode(),
        "images": sheet(images),
    }


def page(models: dict[str, Any]) -> str:
    """The template with the models inserted; a page of one's own has no link to the README."""
    lines = (f"{json.dumps(key)}: {json.dumps(models[key])}" for key in models)
    text = TEMPLATE.read_text()
    if "own" in models:  # it may be stored anywhere, with no README in the folder above
        text = text.replace(LINK, "")
    return text.replace(SLOT, "{\n" + ",\n".join(lines) + "\n}")


def main(file: str | Path = PAGE, model: str = "", images: str = "") -> None:
    """Write the page; see the module."""
    if model:
        name = Path(model).stem
        models = {"own": own(name, keras.saving.load_model(model), np.load(images))}
    else:
        models = {key: described(name) for key, name in MODELS.items()}
    file = Path(file)
    file.write_text(page(models))
    print(f"written: {file}, {file.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
