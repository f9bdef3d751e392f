"""Every block of the pages that answer questions runs, and prints what the page says it prints."""

import contextlib
import io
import json
import re
import shlex

import keras
import numpy as np
import pytest
from oracles.scripts import load

from vae_keras.reproduction import paths

DOCS = paths.ROOT / "docs"
QUESTIONS, EXAMPLES, OWN, LIKELIHOOD, DATA = (
    DOCS / f"{name}.md" for name in ("questions", "examples", "own_model", "likelihood", "data")
)
BLOCK = re.compile(r"```python\n(.*?)```(?:\n+```text\n(.*?)```)?", re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def blocks(page):
    """The (code, printed) of a page; printed is "" where the page shows nothing."""
    return BLOCK.findall(page.read_text())


def printed_by(code, values):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, values)
    return out.getvalue()


def assert_alike(found, shown):
    """The same words, and numbers that other noise may give in a short run: 8%, or 2."""
    assert NUMBER.sub("#", found).split() == NUMBER.sub("#", shown).split(), found
    for a, b in zip(NUMBER.findall(found), NUMBER.findall(shown), strict=True):
        assert abs(float(a) - float(b)) <= max(0.08 * abs(float(b)), 2), found


def run_page(code_blocks, monkeypatch, tmp_path):
    """Run the blocks one after the other in one namespace, and return that."""
    monkeypatch.chdir(tmp_path)
    values = {"__name__": "__main__"}
    for code, shown in code_blocks:
        assert_alike(printed_by(code, values), shown)
    return values


@pytest.mark.long
def test_recipe_of_convolutions(monkeypatch, tmp_path):
    values = run_page(blocks(EXAMPLES)[:1], monkeypatch, tmp_path)
    assert values["digits"].shape == (16, 28, 28, 1)
    loaded = keras.saving.load_model(tmp_path / "convolutional.keras")
    x = values["x_test"][:5]
    np.testing.assert_array_equal(loaded.reconstruct(x), values["vae"].reconstruct(x))


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("conditional")
        return run_page(blocks(EXAMPLES)[1:], monkeypatch, folder) | {"folder": folder}


@pytest.mark.long
def test_recipe_of_a_condition(conditional):
    assert conditional["digits"].shape == (16, 784)
    assert conditional["bound"] > conditional["wrong"] + 10
    loaded = keras.saving.load_model(conditional["folder"] / "conditional.keras")
    some = conditional["rows"](conditional["data"].x_test[:5], conditional["data"].y_test[:5])
    models = (loaded, conditional["vae"])
    for model in models:
        model.set_evaluation_noise(7)
    np.testing.assert_allclose(*(model.elbo(some) for model in models), rtol=1e-5)
    with pytest.raises(ValueError, match="until y is given"):
        loaded.sample(1)


@pytest.mark.long
def test_every_question_has_an_answer_that_runs(monkeypatch, tmp_path):
    values = run_page(blocks(QUESTIONS), monkeypatch, tmp_path)
    x = values["data"].x_test
    plain, weighted = (
        values[n].evaluate(x, return_dict=True, verbose=0) for n in ("vae", "weighted")
    )
    assert weighted["kl"] < plain["kl"] - 2
    assert weighted["reconstruction"] < plain["reconstruction"]
    used = [sum(values["kl_of_each"](values[name], x) > 0.1) for name in ("vae", "weighted")]
    assert all(0 < n < 10 for n in used)
    assert set(np.unique(values["x_test"])) == {0, 1}
    assert values["means"].shape == (16, 784)
    ends = values["between"].numpy()[[0, -1]]
    np.testing.assert_allclose(ends, values["vae"].reconstruct(x[:2]), atol=1e-4)
    assert values["loaded"].samples_evaluated == 1.25 * values["vae"].samples_evaluated


@pytest.mark.long
def test_a_model_of_ones_own_from_images_to_a_page(monkeypatch, tmp_path):
    """Then the command of the page's end, on what its blocks have written."""
    keras.config.disable_interactive_logging()  # a progress bar is nothing that a block prints
    try:
        values = run_page(blocks(OWN), monkeypatch, tmp_path)
    finally:
        keras.config.enable_interactive_logging()
    vae, x, epochs = (values[name] for name in ("vae", "x_test", "epochs"))
    drawn = sorted(tmp_path.glob("reconstructions_*.png"))
    assert len(drawn) == epochs
    last = np.asarray(keras.utils.load_img(drawn[-1], color_mode="grayscale")) / 255
    above, below = np.split(last, 2)
    np.testing.assert_allclose(above, np.hstack(x[:10, ..., 0]), atol=1 / 255)
    assert np.corrcoef(above.ravel(), below.ravel())[0, 1] > 0.6
    # The images of the page are those that its blocks write, with other noise.
    for name in ("reconstructions_20", "traversals", "samples"):
        shown = keras.utils.load_img(DOCS / f"own_{name.removesuffix('_20')}.png")
        assert shown.size == keras.utils.load_img(tmp_path / f"{name}.png").size
    # The same images are not in both sets.
    train = np.concatenate(list(values["train"]))
    assert (len(train), len(x)) == (2000, 500)
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in x}
    np.testing.assert_allclose(values["answer"], vae.reconstruct(x[:2]), atol=1e-4)

    (command,) = re.findall(r"```bash\n.*python docs/plane.py (.*)\n```", OWN.read_text())
    file, *given = shlex.split(command)
    load("docs/plane.py").main(file, *given)
    page = (tmp_path / file).read_text()
    found = json.loads(re.search(r'id="models">(.*?)</script>', page, re.DOTALL)[1])["own"]
    codes = np.reshape(found["codes"], (-1, 2)) / found["steps"]
    np.testing.assert_allclose(codes, vae.encode(x).mean(), atol=0.01)


@pytest.mark.long
def test_other_images_need_the_changes_that_the_table_names(monkeypatch, tmp_path):
    """64 x 64 in colour, too many for memory: all of the table's changes together."""
    monkeypatch.chdir(tmp_path)
    make, data, model, training = (code for code, _ in blocks(OWN)[:4])
    line = "        convolution(keras.layers.{}, {}),\n".format
    down, up = line("Conv2D", 16), line("Conv2DTranspose", 16)
    changes = {
        '"grayscale"': '"rgb"',
        "(28, 28, 1)  #": "(64, 64, 3)  #",
        ".cache()": "",
        re.search(r"train = train\.shuffle.*", data)[0]: "train = train.prefetch(1)",
        "x_test = np.concatenate(list(test))": "x_test = next(iter(test)).numpy()",
        re.search(r"small = .*", model)[0]: "small = (shape[0] // 8, shape[1] // 8, 32)",
        down: down + line("Conv2D", 32),
        up: line("Conv2DTranspose", 32) + up,
    }
    code = "\n".join([make.replace("[:2500]", "[:100]"), data, model, training])
    code = code.replace("epochs = 20", "epochs = 1")
    for old, new in changes.items():
        assert code.count(old) == 1, old
        code = code.replace(old, new)
        new = new.strip()
        assert not new or all(part.strip(" ,#") in OWN.read_text() for part in new.split("\n"))
    values = {}
    printed_by(code, values)
    assert values["x_test"].shape == (20, 64, 64, 3)
    shown = keras.utils.load_img("reconstructions_01.png")
    assert shown.size == (640, 128)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:the two estimators differ")
def test_the_example_of_log_p_of_x(monkeypatch, tmp_path):
    run_page(blocks(LIKELIHOOD), monkeypatch, tmp_path)


@pytest.mark.real_data
def test_the_example_of_data(monkeypatch, tmp_path):
    run_page(blocks(DATA), monkeypatch, tmp_path)


def test_numbers_that_do_not_hold_are_seen():
    assert_alike("elbo -150.1 nats\n", "elbo -149.0 nats")
    for other in ("elbo -130 nats", "bound -149.0 nats", "elbo -149.0 nats, 3"):
        with pytest.raises((AssertionError, ValueError)):
            assert_alike("elbo -150.1 nats", other)
