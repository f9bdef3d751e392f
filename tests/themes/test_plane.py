"""The plane to walk in: the page holds the shipped decoders, and decodes as Keras does; or own."""

import base64
import io
import json
import re
import time

import keras
import numpy as np
import pytest
from oracles.browser import chromium
from oracles.scripts import load

from vae_keras import VAE, datasets, layers, pretrained
from vae_keras.reproduction import paths

plane = load("docs/plane.py")
PAGE = paths.ROOT / "docs" / "plane.html"
WIDTHS = {"desktop": 1280, "phone": 390}


def held(page):
    """What a page holds of each model."""
    return json.loads(re.search(r'id="models">(.*?)</script>', page.read_text(), re.DOTALL)[1])


@pytest.fixture(scope="module")
def stored():
    return held(PAGE)


def test_the_page_is_the_template_with_the_models_in_it(stored):
    assert PAGE.read_text() == plane.page(stored)
    assert {key: model["model"] for key, model in stored.items()} == plane.MODELS
    assert PAGE.stat().st_size < 2e6


def test_the_page_loads_nothing():
    """No address but data that lie in it, and none of this machine."""
    text = plane.TEMPLATE.read_text()
    assert not re.search(r"https?:|//\w+\.|@import|url\(|fetch\(|import\(|\bsrc=|<link", text)


@pytest.mark.parametrize("key", plane.MODELS)
def test_its_weights_are_those_of_the_shipped_model(stored, key):
    of_model = plane.parameters(pretrained.load(plane.MODELS[key]))
    weights = np.frombuffer(base64.b64decode(stored[key]["weights"]), "<f2")
    np.testing.assert_array_equal(weights, np.concatenate([w.ravel() for w in of_model]))
    assert plane.packed(of_model) == stored[key]["weights"]
    assert stored[key]["hidden"] == len(of_model[1])
    assert stored[key]["height"] * stored[key]["width"] == len(of_model[3])


def test_weights_of_full_precision_are_refused():
    with pytest.raises(ValueError, match="not of half precision"):
        plane.packed([np.array([0.1], "float32")])


@pytest.mark.parametrize("key", plane.MODELS)
def test_the_plane_holds_all_codes(stored, key):
    model = stored[key]
    codes = np.reshape(model["codes"], (-1, 2)) / model["steps"]
    low = np.array(model["low"])
    assert (codes >= low).all()
    assert (codes <= low + model["side"]).all()
    if "classes" in model:
        assert len(model["classes"]) == len(codes)
        places = np.array(model["places"])
        apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
        assert apart[~np.eye(10, dtype=bool)].min() > 0.9 * plane.APART


def test_for_about_half_of_the_digits_the_nearest_dot_is_of_the_same_class(stored):
    """As the page's words say."""
    model = stored["digits"]
    codes, classes = np.reshape(model["codes"], (-1, 2)), np.array(list(model["classes"]))
    apart = ((codes[:, None] - codes) ** 2).sum(-1)
    np.fill_diagonal(apart, apart.max())
    assert 0.45 < np.mean(classes[apart.argmin(1)] == classes) < 0.55
    assert "about half of the dots" in re.sub(r"\s+", " ", plane.TEMPLATE.read_text())


def images(model):
    """Those of the page's sheet, (N, height, width), with the empty ones that fill its last row."""
    sheet = np.asarray(
        keras.utils.load_img(io.BytesIO(base64.b64decode(model["images"])), "grayscale")
    )
    split = sheet.reshape(-1, model["height"], plane.COLUMNS, model["width"])
    return split.swapaxes(1, 2).reshape(-1, model["height"], model["width"])


def test_the_page_holds_no_frame_of_frey_face(stored):
    assert "images" in stored["digits"]
    assert "images" not in stored["faces"]


@pytest.mark.real_data
@pytest.mark.parametrize("key", plane.MODELS)
def test_its_codes_are_those_of_the_test_images(stored, key):
    made = plane.described(plane.MODELS[key])
    # Another machine's last digits may round a code to the neighbouring step.
    np.testing.assert_allclose(made.pop("codes"), stored[key]["codes"], atol=1)
    np.testing.assert_allclose(made.pop("places", 0), stored[key].get("places", 0), atol=0.02)
    if made.pop("images", None):  # the pixels; another version of zlib packs them otherwise
        shown = images(stored[key])
        expected = datasets.load("mnist").x_test[: len(shown)].reshape(shown.shape)
        np.testing.assert_array_equal(shown, expected)
    others = {name: stored[key][name] for name in made}
    assert made == others


# --------------------------------------------------------------------------- a model of one's own


def convolutional(latent=2, shape=(6, 4, 1)):
    """A small model that has learned nothing, whose images yet differ from place to place."""
    q, p, wide = layers.DiagonalGaussian(latent), layers.Bernoulli(shape), shape[0] * shape[1]
    encoder = [keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dense(2 * latent)]
    decoder = [
        keras.layers.Dense(wide, "tanh"),
        keras.layers.Reshape((*shape[:2], 1)),
        keras.layers.Conv2DTranspose(p.params_size, 3, padding="same"),
    ]
    return VAE(
        keras.Sequential([keras.Input(shape), *encoder, q]),
        keras.Sequential([keras.Input((latent,)), *decoder, p]),
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A model, images, and the page made of both as the command makes it."""
    folder = tmp_path_factory.mktemp("own")
    keras.utils.set_random_seed(0)
    model, x = convolutional(), np.random.default_rng(0).uniform(size=(9, 6, 4, 1))
    model.encoder.layers[-2].bias.assign([3, 0, 0, 0])  # so that both axes begin elsewhere
    model.save(folder / "mine.keras")
    np.save(folder / "x.npy", x)
    plane.main(folder / "page.html", folder / "mine.keras", folder / "x.npy")
    return model, x, folder / "page.html"


def test_a_page_of_ones_own_has_the_images_of_a_grid(own):
    model, x, file = own
    ((key, found),) = held(file).items()
    assert (key, found["model"], found["samples"]) == ("own", "mine", 0)
    codes = np.reshape(found["codes"], (-1, 2)) / found["steps"]
    np.testing.assert_allclose(codes, model.encode(x).mean(), atol=0.5 / found["steps"] + 1e-6)
    means = np.frombuffer(base64.b64decode(found["means"]), "uint8")
    means = means.reshape(plane.GRID, plane.GRID, found["height"], found["width"])
    assert means.shape[2:] == (6, 4)
    np.testing.assert_allclose(images(found)[: len(x)], 255 * x[..., 0], atol=0.51)
    assert found["low"][0] != found["low"][1]
    step = found["side"] / (plane.GRID - 1)
    for row, column in ((0, 0), (3, 30), (32, 7)):  # of z2 and z1
        z = np.array(found["low"]) + step * np.array([column, row])
        mean = model.decode(z[None].astype("float32")).mean().numpy()[0, ..., 0]
        np.testing.assert_allclose(means[row, column], 255 * mean, atol=0.51)


def test_only_the_kits_own_page_links_to_the_readme(own, stored):
    assert plane.TEMPLATE.read_text().count(plane.LINK) == 1
    assert plane.LINK in plane.page(stored)
    assert "README" not in own[2].read_text()


@pytest.mark.parametrize("changed", [{"latent": 3}, {"shape": (6, 4, 3)}])
def test_a_model_that_no_plane_shows_is_refused(changed):
    model = convolutional(**changed)
    with pytest.raises(ValueError, match="the plane needs z of shape"):
        plane.own("mine", model, np.zeros((2, *model.event_shape)))


# ---------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser():
    with chromium("the plane") as browser:
        yield browser


@pytest.fixture(params=WIDTHS.values(), ids=WIDTHS)
def page(browser, request):
    """The page from disk, as a desktop or a phone shows it; an error in it fails."""
    phone = request.param == WIDTHS["phone"]
    context = browser.new_context(
        viewport={"width": request.param, "height": 844}, has_touch=phone, is_mobile=phone
    )
    page, said = context.new_page(), []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: said.append(asked.url))
    page.goto(PAGE.as_uri())
    yield page
    context.close()
    assert said == [PAGE.as_uri()]


def choose(page, key):
    page.locator(f"label:has(input[value={key}])").click()


def go(page, right, up):
    """Move the pointer to a place in the plane, as shares of its side; z as it has to be."""
    page.locator("#plane").scroll_into_view_if_needed()
    box = page.locator("#plane").bounding_box()
    page.mouse.move(box["x"] + right * box["width"], box["y"] + (1 - up) * box["height"])
    frame(page)
    model = page.evaluate("({low: models[state.key].low, side: models[state.key].side})")
    return np.array(model["low"]) + model["side"] * np.array([right, up])


def frame(page):
    """Let the page draw what it has yet to draw."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def pixels(page):
    """The bytes that the canvas shows, and its shape."""
    shown = page.evaluate(
        "[image.height, image.width, [...pen.getImageData(0, 0, image.width, image.height).data]]"
    )
    rgba = np.reshape(shown[2], (shown[0], shown[1], 4))
    assert (rgba[..., 3] == 255).all()
    assert (rgba[..., :1] == rgba[..., :3]).all()  # grey
    return rgba[..., 0]


@pytest.mark.long
@pytest.mark.parametrize("key", plane.MODELS)
def test_the_image_is_the_mean_that_keras_decodes(page, key):
    model = pretrained.load(plane.MODELS[key])
    choose(page, key)
    for place in [(0.5, 0.5), (0.3, 0.6), (0.55, 0.2), (0.02, 0.98), (0.9, 0.1)]:
        expected = go(page, *place)
        z = np.array(page.evaluate("state.z"))
        np.testing.assert_allclose(z, expected, atol=0.05)  # a pointer stands on whole pixels
        mean = np.array(page.evaluate("[...state.mean]"))
        of_keras = model.decode(z[None].astype("float32")).mean().numpy()[0]
        np.testing.assert_allclose(mean, of_keras, atol=1e-5)
        np.testing.assert_array_equal(pixels(page).ravel(), np.floor(255 * mean + 0.5))
        said = page.locator("#z").inner_text().replace("\u2212", "-")
        said = re.sub(r"\s", "", said)
        assert said == f"z1={z[0]:.2f}z2={z[1]:.2f}"


@pytest.mark.long
def test_a_page_of_ones_own_shows_what_its_decoder_makes(browser, own):
    model, _, file = own
    page, said = browser.new_page(), []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: said.append(asked.url))
    page.goto(file.as_uri())
    assert not page.locator("#choice").is_visible()  # there is nothing to choose
    shown = []
    for place in [(0, 0), (0.5, 0.25), (0.13, 0.77), (1, 1)]:  # of which three are on the grid
        z = page.evaluate(
            "place => (({low, side}) => place.map((p, i) => low[i] + p * side))(models.own)", place
        )
        page.evaluate("z => move(z)", z)
        frame(page)
        mean = model.decode(np.array([z], "float32")).mean().numpy()[0, ..., 0]
        np.testing.assert_allclose(page.evaluate("[...state.mean]"), mean.ravel(), atol=3e-3)
        np.testing.assert_allclose(pixels(page), 255 * mean, atol=1.5)
        shown.append(mean)
    assert np.ptp(shown, axis=0).max() > 0.1
    page.close()
    assert said == [file.as_uri()]


def touches(page):
    return page.evaluate("navigator.maxTouchPoints") > 0


def at(page, z):
    """Where the plane shows a z on the screen."""
    page.locator("#plane").scroll_into_view_if_needed()
    return page.evaluate(
        """z => { const {low, side} = models[state.key], box = plane.getBoundingClientRect();
             return [box.left + (z[0] - low[0]) / side * box.width,
                     box.bottom - (z[1] - low[1]) / side * box.height]; }""",
        list(z),
    )


def press(page, z, aside=0):
    """Press the plane as the screen has it: with a finger, or the mouse."""
    x, y = at(page, z)
    (page.touchscreen.tap if touches(page) else page.mouse.click)(x + aside, y)
    frame(page)


def dots(page):
    codes, steps = page.evaluate("[models[state.key].codes, models[state.key].steps]")
    return np.reshape(codes, (-1, 2)) / steps


@pytest.fixture
def two(page):
    """Two dots far from all others, 1 of class 0 and 1 of another, by their numbers."""
    codes = dots(page)
    return [int(codes[:, 0].argmin()), int(codes[:, 1].argmax())]


@pytest.mark.long
def test_keys_and_fingers_move_it_too(page):
    begins = np.array(page.evaluate("state.z"))
    page.locator("#plane").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    frame(page)
    np.testing.assert_allclose(page.evaluate("state.z"), np.add(begins, [0.1, 0.2]))
    for _ in range(100):
        page.keyboard.press("ArrowLeft")
    assert page.evaluate("state.z[0]") == page.evaluate("models.digits.low[0]")  # no further
    press(page, [2.5, -3.5])
    np.testing.assert_allclose(page.evaluate("state.z"), [2.5, -3.5], atol=0.05)


@pytest.mark.long
def test_a_finger_scrolls_the_page_unless_it_drags_the_ring(page):
    if not touches(page):
        pytest.skip("no finger")
    press(page, [2.5, -3.5])
    fingers = page.context.new_cdp_session(page)

    def swipe(z, way):
        x, y = at(page, z)
        for step in range(9):
            kind = "touchMove" if step else "touchStart"
            point = {"x": x + step * way[0], "y": y + step * way[1]}
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(200)
        return page.evaluate("scrollY"), page.evaluate("state.z")

    page.evaluate("scrollTo(0, 0)")
    at(page, [0, 0])
    before = page.evaluate("scrollY")
    scrolled, z = swipe([-3, 0], (0, 10))
    assert scrolled < before - 30
    np.testing.assert_allclose(z, [2.5, -3.5], atol=0.05)
    at(page, z)
    before = page.evaluate("scrollY")
    scrolled, z = swipe(z, (0, -10))
    assert scrolled == before
    assert z[1] > -3


def original(page):
    """The pixels of the image beside the reconstruction."""
    data = page.evaluate(
        """() => { const {width, height} = find("original");
             const pen = find("original").getContext("2d");
             return [...pen.getImageData(0, 0, width, height).data]; }"""
    )
    return np.reshape(data, (28, 28, 4))[..., 0]


@pytest.mark.long
def test_a_press_on_a_dot_shows_its_image_and_stays(page, two):
    """While a mouse moves on; a press elsewhere, a drag or a key lets go.

    Without a dot, the image is that of the nearest.
    """
    codes, (dot, _) = dots(page), two
    named = page.locator("#picked")
    assert "Nearest" in named.inner_text()
    press(page, codes[dot], aside=3)
    assert page.evaluate("state.dot") == dot
    np.testing.assert_allclose(page.evaluate("state.z"), codes[dot])
    classes = page.evaluate("models.digits.classes")
    assert "Original" in named.inner_text()
    assert f"class {classes[dot]}" in named.inner_text()
    assert page.locator("#what").inner_text() == "Reconstruction"
    page.mouse.move(*at(page, [0, 0]))
    frame(page)
    assert page.evaluate("state.dot") == dot
    stored = images(held(PAGE)["digits"])
    np.testing.assert_array_equal(original(page), stored[dot])
    page.locator("#plane").focus()
    page.keyboard.press("ArrowRight")
    frame(page)
    assert "Nearest" in named.inner_text()
    page.evaluate("z => move(z)", [2.5, -3.5])
    frame(page)
    nearest = np.linalg.norm(codes - [2.5, -3.5], axis=1).argmin()
    np.testing.assert_array_equal(original(page), stored[nearest])
    page.evaluate("z => move(z)", codes[dot].tolist())
    page.keyboard.press("Enter")  # the nearest dot is that again
    assert page.evaluate("state.dot") == dot
    press(page, [2.5, -3.5])
    assert page.evaluate("state.dot") is None
    for lets_go in (lambda: press(page, codes[dot]), lambda: page.keyboard.press("Escape")):
        press(page, codes[dot])
        assert page.evaluate("state.dot") == dot
        lets_go()
        assert page.evaluate("state.dot") is None
        np.testing.assert_allclose(page.evaluate("state.z"), codes[dot])
    if not touches(page):
        press(page, codes[dot])
        page.mouse.move(*at(page, [0, 0]))
        page.mouse.down()
        page.mouse.move(*at(page, codes[dot]), steps=3)
        page.mouse.up()  # a drag that ends on the dot picks nothing
        assert page.evaluate("state.dot") is None


@pytest.mark.long
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_second_dot_begins_a_walk_on_a_line(page, two, motion):
    page.emulate_media(reduced_motion=motion)
    codes = dots(page)
    begin, end = codes[two]
    page.evaluate(
        "{ const drawn = draw; trail = []; draw = () => { trail.push(state.z); drawn(); }; }"
    )
    for dot in two:
        press(page, codes[dot])
    page.wait_for_function("dot => state.dot === dot", arg=two[1])
    frame(page)
    share = (np.array(page.evaluate("trail"))[1:] - begin) / (end - begin)
    np.testing.assert_allclose(share[:, 0], share[:, 1], atol=1e-6)
    assert (np.diff(share[:, 0]) > -1e-6).all()
    assert share[-1, 0] == pytest.approx(1)
    between = (share[:, 0] > 0.001) & (share[:, 0] < 0.999)  # few on a slow machine
    assert between.any() == (motion == "no-preference")
    assert page.locator("#way path").count() == 3
    # The slider walks too, by keys as well.
    slider = page.locator("#share")
    slider.fill("0.5")
    frame(page)
    np.testing.assert_allclose(page.evaluate("state.z"), (begin + end) / 2)
    assert "Nearest" in page.locator("#picked").inner_text()  # no image has this code
    slider.press("Home")
    assert page.evaluate("state.dot") == two[0]
    slider.fill("0.6")  # on the way: a dot that is pressed now ends a walk from the nearer end
    page.evaluate("dot => press(dot)", 7)
    assert page.evaluate("state.walk") == [two[1], 7]
    page.wait_for_function("state.dot === 7")
    press(page, [2.5, -3.5])
    assert page.locator("#way path").count() == 0
    assert not slider.is_visible()


@pytest.mark.long
def test_the_legend_shows_one_class(page):
    """Of the others no dot is pressed."""
    bright = "() => [...document.querySelectorAll('.dots:not(.dim)')].map(d => d.dataset.of)"
    three = page.locator("#legend button[value='3']")
    assert len(page.evaluate(bright)) == 10
    if not touches(page):
        three.hover()
        assert page.evaluate(bright) == ["3"]
        page.mouse.move(1, 1)
        assert len(page.evaluate(bright)) == 10
    three.click()
    page.mouse.move(1, 1)
    assert page.evaluate(bright) == ["3"]
    assert three.get_attribute("aria-pressed") == "true"
    classes = page.evaluate("models.digits.classes")
    for dot in range(5):  # in the middle of the crowd or not
        page.evaluate("z => move(z)", dots(page)[dot].tolist())
        page.locator("#plane").press("Enter")
        assert classes[page.evaluate("nearest(state.z)")] == "3"
    three.click()
    assert len(page.evaluate(bright)) == 10
    choose(page, "faces")
    assert not page.locator("#legend").is_visible()
    assert not page.locator("#original").is_visible()


@pytest.mark.long
def test_the_planes_ground_is_of_one_colour(browser):
    """Where layers of part opacity lie on it, it comes in blocks."""
    page = browser.new_page(color_scheme="dark", viewport={"width": 1280, "height": 844})
    page.goto(PAGE.as_uri())
    page.add_style_tag(content="#names, #at { visibility: hidden; }")  # they have halos
    frame(page)
    shot = keras.utils.img_to_array(
        keras.utils.load_img(io.BytesIO(page.locator("#plane").screenshot()))
    )
    page.close()
    shot = shot[5:-5, 5:-5]  # without the corners, which are round
    darker = (shot <= shot[5, 5]).all(axis=-1) & (shot < shot[5, 5]).any(axis=-1)
    assert darker.sum() < 300  # edges of dots; a block has thousands


@pytest.mark.long
def test_it_follows_at_every_frame(page):
    """The least of a few rounds: other processes take their time from the browser too."""
    for key in plane.MODELS:
        choose(page, key)
        taken = []
        for _ in range(20):
            for i in range(5):
                go(page, 0.2 + 0.1 * i, 0.5)
                taken.append(page.evaluate("state.milliseconds"))
            if np.median(taken) < 5:
                break
            taken.clear()
            time.sleep(1)
        assert taken, key


@pytest.mark.long
def test_nothing_scrolls_sideways_and_the_axes_are_the_planes_own(page):
    for key in plane.MODELS:
        choose(page, key)
        frame(page)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        inner, axes = (page.locator(id_).bounding_box() for id_ in ("#plane", "#axes"))
        assert inner == pytest.approx(axes, abs=1)
        assert inner["width"] == pytest.approx(inner["height"], abs=1)
        labels = page.locator(".label").all_inner_texts()
        assert [re.sub(r"\s", "", text) for text in labels] == ["z1", "z2"]
        image = page.locator("#image")
        assert image.evaluate("i => getComputedStyle(i).imageRendering") == "pixelated"
        # A pixel of the model is a whole number of pixels of the screen.
        size = image.evaluate("i => [i.clientWidth / i.width, i.clientHeight / i.height]")
        assert size[0] == size[1] == int(size[0]) >= 5


@pytest.mark.long
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_its_words_can_be_read_in_both_modes(browser, mode):
    """By WCAG's measure: the contrast of each colour of the text and its ground."""
    page = browser.new_page(color_scheme=mode)
    page.goto(PAGE.as_uri())
    style = page.evaluate(
        """() => ["--ink", "--quiet", "--paper", "--plane"].map(name =>
             getComputedStyle(document.documentElement).getPropertyValue(name).trim())"""
    )
    page.close()
    ink, quiet, paper, ground = map(luminance, style)
    assert (paper > 0.5) == (mode == "light")
    for one, other in ((ink, paper), (quiet, paper), (ink, ground)):
        low, high = sorted((one, other))
        assert (high + 0.05) / (low + 0.05) > 4.5


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    rgb = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]
