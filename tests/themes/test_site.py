"""The site: built without a warning or a network, whole, to be read in a browser, on a phone."""

import base64
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click.testing
import filelock
import nbformat
import pandas as pd
import papermill.cli
import pytest
from bs4 import BeautifulSoup
from oracles.browser import NOWHERE, chromium
from oracles.scripts import load
from playwright.sync_api import expect

import vae_keras
from vae_keras import datasets
from vae_keras.reproduction import paper, paths, style
from vae_keras.reproduction.settings import FIGURES

ROOT = paths.ROOT
sys.path.insert(0, str(ROOT / "docs" / "site"))
pages, docstrings = load("docs/site/pages.py"), load("docs/site/docstrings.py")
RECORDS = sorted(file for name in paths.NAMES for file in ROOT.glob(f"figures/*/{name}.json"))
STORED = sorted(ROOT.glob("notebooks/*.ipynb"))


# ------------------------------------------------------------------------- what a page is made of


@pytest.mark.parametrize("file", RECORDS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_the_command_beside_a_figure_gives_its_parameters(file, monkeypatch):
    """As run_all.sh or papermill reads it, by the notebook as it is now."""
    record, folder = json.loads(file.read_text()), str(file.parent.relative_to(ROOT))
    words = pages.command(record, folder).split(" ", 1)
    asked = {}
    monkeypatch.setattr(papermill.cli, "execute_notebook", lambda **given: asked.update(given))
    if words[0] == "reproduce/run_all.sh":
        preset, name = re.fullmatch(r"--preset (\w+) --only (\w+)", words[1]).groups()
        assert folder == f"figures/{preset}"
        given = {}
    else:
        assert words[0] == "papermill"
        monkeypatch.chdir(ROOT)
        arguments = shlex.split(words[1])
        done = click.testing.CliRunner().invoke(papermill.cli.papermill, arguments)
        assert done.exit_code == 0, done.output
        name, given = Path(asked["input_path"]).stem, asked["parameters"]
        assert given.pop("figures_dir") == folder
        preset = given.pop("preset", "quick")
    own = FIGURES[name](preset=preset).parameters
    # A parameter that came later had its default then.
    asked_for = {key: record["parameters"].get(key, own[key]) for key in own}
    assert FIGURES[name](**{"preset": preset} | given).parameters | {"ends": 0} == (
        asked_for | {"ends": 0}  # which follow from the others
    )


def test_the_latest_figures_come_first():
    """By recipe, then by samples: figure 2's first million of today's recipe before older runs."""
    for name in paths.NAMES:
        shown = [json.loads((f / f"{name}.json").read_text()) for f in pages.folders(name)]
        assert shown, name
        kinds = [(pages._recipe(r), r["parameters"].get("samples", 0)) for r in shown]
        assert kinds == sorted(kinds, reverse=True)


@pytest.mark.parametrize(
    ("number", "settings"),
    [("09", "z_1 = -0.3, z_2 = -1.8"), ("02", "datapoint = A, mu = -0.2, sigma = 0.3")],
)
def test_a_widget_is_shown_as_it_was_stored(number, settings):
    (file,) = ROOT.glob(f"notebooks/{number}_*.ipynb")
    notebook = nbformat.read(file, as_version=4)
    assert pages.WIDGET in file.read_text()
    still = pages.still(notebook)
    text = nbformat.writes(still)
    assert pages.WIDGET not in text
    assert "widgets" not in still.metadata
    assert f"As stored, with {settings}; in JupyterLab you can move these." in text


@pytest.mark.parametrize(
    ("docstring", "rst"),
    [
        ("p(x|z) of (M, *event) -> w_j.",
         r"\ :math:`p(x|z)`\  of \ ``(M, *event)``\  → \ :math:`w_j`\ ."),
        ("a | b, *not* n_de", r"a \| \ :math:`b`\ , *not* n\_de"),
        ("A *local* file.", "A *local* file."),
        ("see `sgvb_a`", r"see \ :py:obj:`sgvb_a <vae_keras.bounds.sgvb_a>`\ "),
        ("by `Bernoulli(2)`", r"by \ :py:obj:`Bernoulli(2) <vae_keras.layers.Bernoulli>`\ "),
        (">>> 2 * 3\n6", ">>> 2 * 3\n6"),
        ("Thus:\n\n    f(*a)", "Thus:\n\n.. code-block:: python\n\n    f(*a)"),
        ("Say:\n\n    E_q(z|x)[log p(x|z)] - KL(q || p)",
         "Say:\n\n.. math::\n\n   "
         r"E_{q(z|x)}[\log  p(x|z)] - \operatorname{KL}(q \,\Vert\, p)"),
        ("Say:\n\n    a = sum_i x_i\n    b = grad z^(a - 1)",
         "Say:\n\n.. math::\n\n   "
         "a &= \\sum _i x_i \\\\\n   b &= \\nabla  z^{(a - 1)}"),
        ("Returns:\n    All: (N,), nats,\n    of x.",
         r"**Returns:** All: \ ``(N,)``\ , nats, of \ :math:`x`\ ."),
        ("Args:\n    a: one\n        more.\n    b: *two.",
         "**Args:**\n\n``a``\n    one more.\n\n``b``\n    \\*two."),
    ],
)  # fmt: skip
def test_a_docstring_says_what_it_said(docstring, rst):
    lines = docstring.split("\n")
    docstrings.as_rst(None, "module", "vae_keras.layers", None, None, lines)
    assert "\n".join(lines).rstrip("\n") == rst


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a log density, 28 x 20 in [-1, 1], as in appendix D or M2, i.e. a low one at 0.5", []),
        ("Estimator A, x_train, x-axis, h(x) |", [r"h(x)"]),
        ("E_q(z|x)[log p(x|z)], which is KL(q(z|x) || p(z)).",
         [r"E_{q(z|x)}[\log  p(x|z)]", r"\operatorname{KL}(q(z|x) \,\Vert\, p(z))"]),
        ("w adds w/2 |theta|^2; 1/N is N(0, 0.5^2)",
         ["w", r"w/2 |\theta |^2", "1/N", r"\mathcal{N}(0, 0.5^2)"]),
        ("where z = low (high / low)^u and a = 1 / (1 + exp(-a)) are x's",
         [r"z = \operatorname{low} (\operatorname{high} / \operatorname{low})^u",
          r"a = 1 / (1 + \exp (-a))", "x"]),
        ("(M, *input) -> (n, height * width), (2,), (*batch), but (0, 1) and (a, if so)",
         ["(M, *input)", "(n, height * width)", "(2,)", "(*batch)"]),
        ("log\n    sigma^2(x)", [r"\log  \sigma ^2(x)"]),
    ],
)  # fmt: skip
def test_formulas_in_a_sentence_are_found_and_no_words(text, found):
    parts = docstrings._typeset(text, "\0{}\0".format, "\0{}\0".format, str).split("\0")
    assert parts[1::2] == found
    assert docstrings.as_markdown(f"`{text}`") == f"`{text}`"


@pytest.mark.parametrize(
    ("called", "target"),
    [
        ("elbo", None),  # a metric
        ("elbo()", "models.VAE.elbo"),
        ("Trainer.fit()", "models.Trainer.fit"),
        ("record_bound()", "models.AutoEncoder.record_bound"),  # not on the page of VAE
        ("get_config()", None),  # Keras's
    ],
)
def test_a_method_is_linked_where_it_is_called(called, target):
    lines = [f"See `{called}`"]
    docstrings.as_rst(None, "class", "vae_keras.models.VAE", None, None, lines)
    shown = f":py:obj:`{called} <vae_keras.{target}>`" if target else f"``{called}``"
    assert lines[0] == rf"See \ {shown}\ "


def test_the_groups_of_members_name_what_is_there():
    """Each name of the list is a member of a model or a layer; no member is in two groups."""
    public = [
        getattr(module, name)
        for module in (vae_keras.models, vae_keras.layers, vae_keras.priors)
        for name in module.__all__
    ]
    names = [name for group in docstrings.MEMBERS.values() for name in group]
    assert len(set(names)) == len(names)
    missing = [name for name in names if not any(hasattr(cls, name) for cls in public)]
    assert missing == ["event_shape"]  # which a layer's `__init__` sets


# -------------------------------------------------------------------------------- the site, built


class Page:
    """The ids of a page, what it links to, shows and loads, and its text but for code."""

    def __init__(self, file):
        self.file, page = file, BeautifulSoup(file.read_text(), "html.parser")
        self.ids = {tag["id"] for tag in page.find_all(id=True)}
        self.ids |= {tag["name"] for tag in page.find_all(attrs={"name": True})}
        self.links = [tag["href"] for tag in page.find_all("a", href=True)]
        shown = page.find_all(["img", "source", "iframe", "video", "embed"], src=True)
        self.images = [tag["src"] for tag in shown]
        scripts, links = page.find_all("script", src=True), page.find_all("link", href=True)
        self.loads = [tag["src"] for tag in scripts] + [tag["href"] for tag in links]
        self.code = [tag.get_text() for tag in page.select("pre, code")]
        for quiet in page.select("script, style, pre, code, title, .math"):
            quiet.extract()
        self.text = page.get_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the HTML, built once by the site's command, with no network to be had."""
    own = sys.prefix == str(ROOT / ".venv") and (ROOT / ".venv" / "made-from").exists()
    command = [ROOT / "docs/build.sh"] if own else [sys.executable, ROOT / "docs/site/build.py"]
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    with filelock.FileLock(f"{folder}.lock"):  # pytest's other processes wait for it
        if not folder.exists():
            nowhere = {"https_proxy": NOWHERE, "http_proxy": NOWHERE}
            done = subprocess.run(
                [*command, folder], env=os.environ | nowhere, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stderr == ""
    return folder / "html"


@pytest.fixture(scope="module")
def site(built):
    """Path from the site's root -> `Page`."""
    return {str(file.relative_to(built)): Page(file) for file in sorted(built.rglob("*.html"))}


def where(page, target):
    """The file and the fragment that a link or a picture of `page` means."""
    parts = urlsplit(target)
    file = (page.file.parent / unquote(parts.path)).resolve() if parts.path else page.file
    return file, unquote(parts.fragment)


def is_elsewhere(target):
    return bool(urlsplit(target).scheme or urlsplit(target).netloc)


@pytest.mark.long
def test_each_link_and_each_picture_is_there(site, built):
    known = {page.file: page for page in site.values()}
    missing = []
    for name, page in site.items():
        for target in page.links + page.images + page.loads:
            if is_elsewhere(target):
                continue
            file, fragment = where(page, target)
            there = file.is_file() and file.is_relative_to(built)
            if not there or (fragment and file in known and fragment not in known[file].ids):
                missing.append(f"{name}: {target}")
    assert missing == []
    assert sum(len(page.links) for page in site.values()) > 1000


@pytest.mark.long
def test_nothing_is_loaded_from_elsewhere(site, built):
    for name, page in site.items():
        away = [t for t in page.images + page.loads if is_elsewhere(t) and t[:5] != "data:"]
        assert away == [], name
    for file in built.rglob("*.css"):
        urls = re.findall(r"url\(['\"]?([^)'\"]*)|@import ['\"]([^'\"]*)", file.read_text())
        assert [u for pair in urls for u in pair if is_elsewhere(u) and u[:5] != "data:"] == []


@pytest.mark.long
def test_every_page_is_there(site):
    docs = [f"docs/{file.stem}.html" for file in (ROOT / "docs").glob("*.md")]
    learn = [f"notebooks/{file.stem}.html" for file in STORED]
    figures = [f"reproduce/{name}.html" for name in paths.NAMES]
    missing = {"index.html", "CHANGELOG.html", *docs, *learn, *figures} - set(site)
    assert missing == set()
    to_be_reached = {where(page, link)[0] for page in site.values() for link in page.links}
    assert [name for name in docs + learn + figures if site[name].file not in to_be_reached] == []


@pytest.mark.long
@pytest.mark.parametrize("module", [*docstrings.MODULES, "typing"])
def test_all_that_is_public_is_documented(site, module):
    listed = getattr(getattr(vae_keras, module), "__all__", docstrings.SHAPES)
    of_module = [p for name, p in site.items() if re.match(rf"api/{module}(/\w+)?\.html", name)]
    ids = set().union(*(page.ids for page in of_module))
    assert [name for name in listed if f"vae_keras.{module}.{name}" not in ids] == []
    for page in of_module:
        assert not re.search(r"Annotated\[|\(\*args, \*\*kwargs\)| at 0x|`", page.text)


@pytest.mark.long
def test_guides_and_descriptions_link_to_each_other(site):
    """A guide where it first names a class; a description to the guides whose code uses it."""
    guide, described = site["docs/questions.html"], site["api/layers/TFPDistribution.html"]
    target = "api/layers/TFPDistribution.html#vae_keras.layers.TFPDistribution"
    assert sum(link.endswith(target) for link in guide.links) == 1
    assert any(link.endswith("docs/questions.html") for link in described.links)
    lesson = site["notebooks/08_any_latent_variable_model.html"]
    assert any(link.endswith("#vae_keras.layers.Blockwise") for link in lesson.links)
    conditional = site["api/layers/Conditional.html"]
    assert any(link.endswith("docs/examples.html") for link in conditional.links)


@pytest.mark.long
def test_a_class_has_a_page_with_all_of_its_methods(site):
    """Those of its base classes too, and the docstring of the class links to them."""
    page = site["api/models/VAE.html"]
    for method in ("compile", "fit", "evaluate", "predict", "save", "export", "elbo", "sample"):
        assert f"vae_keras.models.VAE.{method}" in page.ids, method
        assert f"#vae_keras.models.VAE.{method}" in page.links, method
    assert "vae_keras.models.VAE.summary" not in page.ids  # which is Keras's
    # First what it is, then what one uses, in a table and then one by one; the rest after that.
    html = BeautifulSoup(page.file.read_text(), "html.parser").article
    assert html.pre.get_text() == "from vae_keras import VAE\n"
    order = [tag.get_text() for tag in html.select("h1, h2, dl.class > dt .descname, th.head")]
    titles = [docstrings.FIRST, "Less often needed", "For subclasses", "As in Keras", "Examples"]
    shown = [text.removesuffix("¶").removesuffix("#") for text in order]
    assert shown == ["VAE", "VAE", titles[0], "member", "what it is", *titles[1:]]
    rows = {row.td.get_text(): row.get_text(" ") for row in html.select("table tbody tr")}
    assert "Train on" in rows["fit"]
    first = docstrings.MEMBERS[docstrings.FIRST]
    assert list(rows) == [name for name in first if hasattr(vae_keras.VAE, name)]
    assert "vae_keras.models.VAE.forget_programs" in page.ids
    # The source of each, of an inherited method and a property too.
    source = "../../_modules/vae_keras/models"
    assert f"{source}/trainer.html#VAE.fit" in page.links
    assert f"{source}/latent_variable.html#VAE.prior" in page.links
    back = site["_modules/vae_keras/models/trainer.html"].links
    assert "../../../api/models/VAE.html#vae_keras.models.VAE.fit" in back
    # Those for subclasses only where they are defined, with a link to them.
    assert "vae_keras.models.VAE.train_step" in page.ids
    assert "vae_keras.models.VAE.record_bound" not in page.ids
    assert "AutoEncoder.html#vae_keras.models.AutoEncoder.record_bound" in page.links


@pytest.mark.long
def test_a_layer_page_has_the_sizes(site):
    ids = site["api/layers/Bernoulli.html"].ids
    for name in ("params_size", "event_shape"):
        assert f"vae_keras.layers.Bernoulli.{name}" in ids
    assert "vae_keras.layers.Bernoulli.compute_output_spec" not in ids


@pytest.mark.long
def test_each_trained_model_is_listed_with_its_quality(site):
    text = site["api/pretrained.html"].file.read_text()
    rows = [row.get_text(" ") for row in BeautifulSoup(text, "html.parser").find_all("tr")]
    for name in vae_keras.pretrained.names():
        about = vae_keras.pretrained.about(name)
        (row,) = (row for row in rows if name in row)
        assert str(about.get("lower_bound", about.get("marginal_log_likelihood"))) in row


@pytest.mark.long
def test_the_menu_goes_from_learning_to_developing(site):
    html = BeautifulSoup(site["index.html"].file.read_text(), "html.parser")
    captions = [tag.get_text() for tag in html.select(".sidebar-tree .caption-text")]
    assert captions[:3] == ["Tutorial", "How to", "Reference"]
    assert captions[-2:] == ["Lab notes", "For developers"]
    lists = dict(zip(captions, html.select(".sidebar-tree > ul"), strict=True))
    for name in ("families", "likelihood"):
        assert lists["How to"].find("a", href=f"docs/{name}.html")


@pytest.mark.long
def test_the_package_page_leads_to_each_name(site):
    links = site["api/index.html"].links
    for module in docstrings.MODULES:
        for name in getattr(vae_keras, module).__all__:
            full = f"vae_keras.{module}.{name}"
            assert [link for link in links if link.endswith(f"#{full}")], full
    assert "../genindex.html" in links


@pytest.mark.long
def test_the_figures_are_in_their_order(site):
    text = site["docs/figures.html"].file.read_text()
    found = re.findall(r'toctree-l2[^>]*><a[^>]*href="../reproduce/(fig_\w+)\.html', text)
    assert found == list(pages.ORDER)
    assert sorted(found) == paths.NAMES


@pytest.mark.long
def test_links_to_the_plane_and_to_modules_open_pages_of_the_site(site):
    links = site["docs/data.html"].links
    assert "../api/datasets.html" in links
    assert not [name for name, p in site.items() if any("docs/plane.html" in x for x in p.links)]


@pytest.mark.long
def test_the_stored_pictures_are_shown(built):
    """Byte by byte: those in the notebooks, in what their widgets showed, and the figures."""
    shown = {hashlib.sha256(f.read_bytes()).digest() for f in (built / "_images").iterdir()}
    stored = [picture for file in STORED for picture in pictures(json.loads(file.read_text()))]
    assert len(stored) > 30
    figures = [file.with_suffix(".png").read_bytes() for file in RECORDS if is_kept(file)]
    assert len(figures) >= len(paths.NAMES)
    assert all(hashlib.sha256(picture).digest() in shown for picture in stored + figures)


def pictures(node):
    """All PNGs anywhere in a notebook's JSON."""
    if isinstance(node, dict):
        if "image/png" in node:
            yield base64.b64decode("".join(node["image/png"]))
        node = node.values()
    elif not isinstance(node, list):
        return
    for child in node:
        yield from pictures(child)


def is_kept(file):
    return file.parent in pages.folders(file.stem)


@pytest.mark.long
@pytest.mark.parametrize("file", RECORDS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_figure_comes_with_its_numbers_and_how_it_came_about(site, built, file):
    if not is_kept(file):
        pytest.skip("drawn here, not committed")
    record, html = (
        json.loads(file.read_text()),
        site[f"reproduce/{file.stem}.html"].file.read_text(),
    )
    text = re.sub(r"<[^>]+>", "", html)
    for said in (record["commit"][:12], record["device"], f"Preset {file.parent.name}"):
        assert said in text
    cells = re.sub(r"\s+", " ", text)
    tables = [file.with_name(f) for f in record["files"] if f.endswith(".csv")]
    for table in map(pd.read_csv, tables):
        if file.stem in ("fig_lower_bound", "fig_marginal_likelihood") and "samples" in table:
            table = paper.differences(table)
        elif len(table) > pages.FEW:
            continue
        else:
            table = pages._readable(table)
        for row in table.astype(object).fillna("").values.tolist():
            assert " ".join(str(cell) for cell in row if cell != "") in cells, row


@pytest.mark.long
def test_no_formula_is_left_raw_and_no_path_of_this_machine(site, built):
    for name, page in site.items():
        text = page.text
        assert not re.search(r"\$[^\s$]|\\[(\[]|\\\w+\{", text), name
        assert str(built.parent) not in page.file.read_text()
        assert str(ROOT) not in page.file.read_text()


# ---------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser():
    with chromium("the site") as browser:
        yield browser


@pytest.fixture
def opened(browser, built):
    """A function that opens a page of the site from disk; what it asked the network for fails."""
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: asked.append(str(error)))

    def open_page(name, width=1400):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(f"{built.as_uri()}/{name}")
        page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
        return page

    yield open_page
    page.close()
    # A search's excerpts are fetched, which a browser allows only where a server gives the pages.
    allowed = ("file:", "data:", "Failed to fetch")
    assert [said for said in asked if not said.startswith(allowed)] == []


@pytest.mark.long
def test_the_front_page_leads_on(opened):
    page = opened("index.html")
    cards = page.locator(".cards a")
    assert cards.count() == 4
    assert cards.last.evaluate("a => a.getBoundingClientRect().bottom") < 844  # the first screen
    titles = page.locator("article h2").evaluate_all("all => all.map(h2 => h2.firstChild.data)")
    first = ["Walk in the latent plane", "What is a VAE?", "Start", "Train a VAE"]
    assert titles[:5] == [*first, "Does it match the paper?"]
    assert not {"More", "On this site"} & set(titles)
    expect(page.get_by_role("heading", name="vae_keras").first).to_be_visible()
    blocks = page.locator("pre")
    assert page.locator(".highlight button.copybtn").count() == blocks.count() > 1
    page.get_by_role("link", name="Begin here").first.click()
    page.get_by_role("link", name="1. The problem").first.click()
    expect(page.get_by_role("heading", name="1. The problem")).to_be_visible()


@pytest.mark.long
@pytest.mark.parametrize("width", [1400, 390])
def test_the_front_page_holds_the_plane(opened, width):
    page = opened("index.html", width)
    frame = page.frame_locator("iframe.plane")
    expect(frame.locator("#z")).to_contain_text("z1")
    # All of it is seen: where a finger scrolls the page, nothing within it scrolls too.
    for key in ("digits", "faces"):
        frame.locator(f"label:has(input[value={key}])").click()
        sizes = "e => [e.scrollHeight - innerHeight, e.scrollWidth - innerWidth]"
        assert max(frame.locator("html").evaluate(sizes)) <= 0


@pytest.mark.long
def test_the_plane_takes_the_theme_of_the_page(opened):
    """Which the reader may change; its own title is left out there, and not without a page."""
    page = opened("plane.html")
    root = page.frame_locator("iframe.plane").locator("html")
    expect(page.frame_locator("iframe.plane").locator("h1")).to_be_hidden()
    colours = {}
    for _ in range(3):
        page.locator(".theme-toggle:visible").first.click()
        theme = page.evaluate("document.body.dataset.theme")
        expect(root).to_have_attribute("data-theme", theme)
        colours[theme] = root.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert colours["light"] == colours["auto"] == "rgb(255, 255, 255)"  # the browser's is light
    assert colours["dark"] != colours["light"]
    expect(opened("docs/plane.html").locator("h1")).to_be_visible()


@pytest.mark.long
def test_figures_are_dimmed_in_the_dark(opened):
    """By the reader's choice, or the browser's."""
    page = opened("docs/figures.html")
    page.emulate_media(color_scheme="dark")
    dimmed = "img => getComputedStyle(img).filter !== 'none'"
    found = {}
    for _ in range(3):
        theme = page.evaluate("document.body.dataset.theme")
        found[theme] = page.locator("article img").first.evaluate(dimmed)
        page.locator(".theme-toggle:visible").first.click()
    assert found == {"auto": True, "dark": True, "light": False}


@pytest.mark.long
def test_a_line_of_code_has_room(opened):
    """88 characters on a screen 1280 pixels wide; a longer one scrolls, and does not wrap."""
    page = opened("api/models/VAE.html", 1280)
    room = page.locator("pre").first.evaluate(
        """pre => {
          const line = document.createElement("span"), style = getComputedStyle(pre);
          line.textContent = "x".repeat(88);
          pre.append(line);
          const inner = pre.clientWidth - parseFloat(style.paddingLeft) * 2;
          return [style.whiteSpace, inner - line.getBoundingClientRect().width];
        }"""
    )
    assert room[0] == "pre"
    assert room[1] >= 0


@pytest.mark.long
def test_a_search_finds(opened):
    page = opened("search.html?q=reparameterisation")
    expect(page.locator("#search-results li").first).to_be_visible(timeout=20_000)
    expect(page.locator("#search-results")).to_contain_text("3. The reparameterisation trick")
    page = opened("search.html?q=sgvb_b")
    expect(page.locator("#search-results")).to_contain_text("vae_keras.bounds", timeout=20_000)
    # A method, once each: of VAE, and where it is defined.
    page = opened("search.html?q=elbo")
    results = page.locator("#search-results")
    expect(results).to_contain_text("Search finished", timeout=20_000)
    methods = results.get_by_text(re.compile(r"^vae_keras\.models\.\w+\.elbo$"))
    owners = [text.split(".")[2] for text in methods.all_inner_texts()]
    assert owners == ["VAE", "AutoEncoder"]
    # Of the library's objects VAE's own: not all those in the package vae_keras.
    page = opened("search.html?q=VAE")
    results = page.locator("#search-results")
    expect(results).to_contain_text("Search finished", timeout=20_000)
    names = results.locator(".kind-object a").all_inner_texts()
    assert names
    assert [name for name in names if "vae" not in name.removeprefix("vae_keras.").lower()] == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("VAE.fit", "vae_keras.models.VAE.fit"),
        ("vae.sample()", "vae_keras.models.VAE.sample"),
        ("reparametrization", "3. The reparameterisation trick"),
        ("reparameterization trick", "3. The reparameterisation trick"),
        ("anomaly", "Estimate log p(x) > Anomaly detection"),
        ("posterior collapse",
         "Questions > Some latent dimensions do nothing: posterior collapse?"),
        ("early stopping", "Questions > How do I validate in fit? Stop early?"),
        ("own images", "Train a VAE on your own images"),
        ("importance sampling", "vae_keras.marginal_likelihood.importance_sampling"),
        ("figure 2", "Figure 2: the lower bound of AEVB and of wake-sleep"),
        ("sample", "vae_keras.models.VAE.sample"),
        ("reconstruct", "vae_keras.models.VAE.reconstruct"),
        ("fit", "vae_keras.models.VAE.fit"),
        ("generate images", "Train a VAE on your own images > Generate images"),
    ],
)  # fmt: skip
def test_the_first_hit_is_what_one_means(opened, asked, first):
    page = opened(f"search.html?q={asked}")
    hit = page.locator("#search-results li a").first
    expect(hit).to_have_text(first, timeout=20_000)
    if ">" in first:  # a section, and not the top of its page
        assert "#" in hit.get_attribute("href")


@pytest.mark.long
def test_excerpts_have_no_tex(opened, site):
    """Those of a search, of any page; a browser lets a page from disk fetch none."""
    page = opened("search.html")
    for name in site:
        text = page.evaluate("html => Search.htmlToText(html)", site[name].file.read_text())
        code = "\n".join(site[name].code)
        left = re.findall(r"\\[(\[]|\\[a-zA-Z]{2,}", text)
        assert [one for one in left if one not in code] == [], name
    lesson = site["notebooks/02_the_lower_bound.html"].file.read_text()
    assert "q_phi(z|x)" in page.evaluate("html => Search.htmlToText(html)", lesson)


@pytest.mark.long
def test_formulas_are_typeset(opened, site):
    page = opened("notebooks/02_the_lower_bound.html")
    expect(page.locator("mjx-container svg").first).to_be_visible(timeout=20_000)
    assert page.locator("mjx-container").count() == page.locator(".math").count() > 10
    assert page.locator("mjx-merror, [data-mml-node=merror]").count() == 0


@pytest.mark.long
def test_no_page_is_wider_than_a_phone(opened, site):
    wide, broken, errors = [], [], []
    for name in site:
        page = opened(name, width=390)
        if page.evaluate("document.documentElement.scrollWidth") > 390:
            wide.append(name)
        if name.startswith("api/") and "index" not in name:  # one line: a class's or module's name
            lines = "h1 => h1.clientHeight / parseFloat(getComputedStyle(h1).lineHeight)"
            if page.locator("h1").first.evaluate(lines) > 1.5:
                broken.append(name)
        if page.locator("[data-mml-node=merror]").count():
            errors.append(name)
    assert wide == []
    assert broken == []
    assert errors == []


@pytest.mark.long
@pytest.mark.parametrize(("datapoint", "mu", "sigma"), [("A", -0.15, 0.2), ("B", -1.9, 1)])
def test_the_sliders_of_lesson_2_live_on_the_site(opened, datapoint, mu, sigma):
    """They show the bound and the gap that the lesson's own functions give."""
    page = opened("notebooks/02_the_lower_bound.html", width=390)
    page.get_by_label("datapoint").select_option(datapoint)
    page.get_by_label("μ").fill(str(mu - 0.05))
    page.get_by_label("μ").press("ArrowRight")
    page.get_by_label("\N{GREEK SMALL LETTER SIGMA}").fill(str(sigma))
    cells = nbformat.read(ROOT / "notebooks/02_the_lower_bound.ipynb", as_version=4).cells
    lesson = pages.values(cells, ["bound", "gap"]).values()
    given = [function(datapoint, mu, sigma) for function in lesson]
    assert numbers_in(page) == pytest.approx([*given, sum(given)], abs=0.011)
    bound, gap, both = numbers_in(page)
    assert round(bound + gap, 2) == both  # as they are shown
    expect(page.locator(".picture")).to_have_count(2)
    expect(page.get_by_text("As stored, with")).to_have_count(0)
    expect(page.get_by_text("need a running kernel")).to_have_count(0)


@pytest.mark.long
def test_the_sliders_of_lesson_3_live_on_the_site(opened):
    page = opened("notebooks/03_the_reparameterisation_trick.html")
    page.get_by_label("ε").fill("-1.5")
    mu, sigma, epsilon, z = 1, 0.5, -1.5, 0.25
    given = [mu, sigma, epsilon, z, 2 * z, 2 * z * epsilon]  # f(z) = z^2
    assert numbers_in(page) == pytest.approx(given, abs=0.006)
    expect(page.get_by_text("need a running kernel")).to_have_count(0)


def numbers_in(page):
    """Those that a lesson's sliders give in words."""
    words = page.locator(".explorer .words").inner_text().replace("\N{MINUS SIGN}", "-")
    return [float(number) for number in re.findall(r"-?\d+\.\d+", words)]


@pytest.mark.long
def test_lesson_9_holds_the_plane_in_place_of_its_first_still(opened):
    page = opened("notebooks/09_explore_the_latent_space.html")
    expect(page.frame_locator("iframe.plane").locator("#z")).to_contain_text("z1")
    expect(page.frame_locator("iframe.plane").locator("h1")).to_be_hidden()  # as within a page
    expect(page.get_by_text("As stored, with")).to_have_count(1)  # the walk


@pytest.mark.long
def test_a_picture_opens_alone_and_a_comma_stays_with_its_formula(opened):
    page = opened("docs/report.html")
    assert page.evaluate("[...document.querySelectorAll('article img')].length") == 4
    links = page.evaluate(
        "[...document.querySelectorAll('article a > img')].map(i => [i.parentNode.href, i.src])"
    )
    assert len(links) == 4
    assert all(href == source for href, source in links)
    page = opened("notebooks/01_the_problem.html")
    page.set_viewport_size({"width": 390, "height": 844})
    ends = page.evaluate(
        """[...document.querySelectorAll("span.math")]
             .filter(m => /^[,.;:]/.test(m.nextSibling?.data))
             .map(m => getComputedStyle(m.parentNode).whiteSpace)"""
    )
    assert len(ends) > 5
    assert set(ends) == {"nowrap"}


@pytest.mark.long
@pytest.mark.parametrize("width", [390, 1280])
def test_the_frame_of_the_plane_is_as_high_as_the_plane(opened, width):
    page = opened("plane.html")
    page.set_viewport_size({"width": width, "height": 900})
    high = "document.querySelector('iframe.plane').offsetHeight"
    inside = page.frame_locator("iframe.plane").locator("body")
    expect(inside.locator("#z")).to_contain_text("z1")
    page.wait_for_timeout(500)  # until both have settled
    assert page.evaluate(high) == inside.evaluate("body => body.offsetHeight")


@pytest.mark.long
def test_a_figures_differences_have_a_row_for_each_curve(site):
    for name, curves in (("fig_lower_bound", 18), ("fig_marginal_likelihood", 6)):
        table = paper.differences(pd.read_csv(ROOT / f"figures/paper/{name}.csv"))
        size = "n_train" if "n_train" in table else "latent_dim"
        last = table.groupby(["dataset", size, "algorithm", "split"]).tail(1)
        found = pages._ends(last)
        assert len(found) == curves
        one = last[(last[size] == last[size].max()) & (last.split == "test")].iloc[-1]
        row = found[
            (found.data == datasets.TITLES[one.dataset])
            & (found.algorithm == style.ALGORITHMS[one.algorithm])
        ].iloc[-1]
        assert float(row["test set"]) == pytest.approx(one.difference, abs=0.06)
        assert "$N" in found.columns[1]


@pytest.mark.long
def test_without_scripts_a_lesson_shows_the_still(browser, built):
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{built.as_uri()}/notebooks/02_the_lower_bound.html")
    words = page.get_by_text("As stored, with datapoint = A")
    expect(words).to_be_visible()
    expect(page.locator(".cell_output", has=words).locator("img")).to_be_visible()
    page.close()


def test_these_tests_are_able_to_fail(tmp_path):
    file = tmp_path / "page.html"
    file.write_text(
        '<h1 id="a">x</h1> <a href="gone.html#b">y</a> <img src="https://x/y.png">'
        '<p>raw $x$ <code>$HOME</code> <span class="math">\\(z\\)</span></p>'
    )
    page = Page(file)
    assert page.ids == {"a"}
    assert not where(page, page.links[0])[0].exists()
    assert is_elsewhere(page.images[0])
    assert page.text.split() == ["x", "y", "raw", "$x$"]
