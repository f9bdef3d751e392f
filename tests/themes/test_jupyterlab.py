"""JupyterLab as a reader has it, in a real browser: skipped where no Chromium is installed."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from oracles.browser import CHROMIUM, chromium
from oracles.jupyter import settings, without_outputs
from playwright.sync_api import expect

from vae_keras.reproduction import paths

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="JupyterLab not tried in a browser: no Chromium here (apt-get install chromium)",
    ),
]
BEGIN = "notebooks/00_begin_here.ipynb"
WIDGETS = "notebooks/09_explore_the_latent_space.ipynb"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of what a reader opens: a figure at preset smoke."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("notebooks", "reproduce", "figures"):
        shutil.copytree(paths.ROOT / name, folder / name)
    (folder / "docs").mkdir()
    shutil.copy(paths.ROOT / "docs" / "plane.html", folder / "docs")
    figure = folder / "reproduce" / "fig_samples.ipynb"
    notebook = nbformat.read(figure, as_version=4)
    (parameters,) = (
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())
    )
    parameters.source += f"\npreset, figures_dir, latent_dims = 'smoke', {str(folder)!r}, [2]"
    nbformat.write(notebook, figure)
    return folder


@pytest.fixture(scope="module")
def address(project, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        f"--ServerApp.root_dir={project}", f"--ServerApp.port={port}", "--IdentityProvider.token=",
    ]  # fmt: skip
    environment = {
        k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "TF_CPP_MIN_LOG_LEVEL")
    }
    environment |= {
        "VAE_KERAS_RESULTS": str(tmp_path_factory.mktemp("results")),
        "VAE_KERAS_JOBS": "0",
        **settings(tmp_path_factory.mktemp("settings")),
    }
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def page():
    with chromium("JupyterLab") as browser:
        yield browser.new_page(viewport={"width": 1400, "height": 1000})


def open_notebook(page, address):
    """Its panel and its tab, once its kernel has answered and what else comes has come."""
    page.goto(address)
    panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    expect(panel).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
    page.wait_for_timeout(3000)
    return panel, page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab.lm-mod-current")


CHANGED = re.compile("jp-mod-dirty")


def test_it_opens_at_the_landing_page_and_asks_nothing(page, address, project):
    stored = (project / BEGIN).read_bytes()
    page.set_viewport_size({"width": 1280, "height": 800})  # a small laptop
    _, tab = open_notebook(page, address)
    assert page.url.endswith(BEGIN)
    expect(page.get_by_role("heading", name="Begin here")).to_be_visible()
    assert page.locator(".jp-Dialog, .Toastify__toast").all_inner_texts() == []
    expect(tab).not_to_have_class(CHANGED)
    assert (project / BEGIN).read_bytes() == stored
    # The names of the notebooks can be read.
    names = page.locator(".jp-DirListing-itemText")
    files = sorted(file.name for file in (project / "notebooks").glob("[!.]*"))
    assert names.all_inner_texts() == files
    cut = "names => names.filter(n => n.scrollWidth > n.offsetWidth).map(n => n.innerText)"
    assert names.evaluate_all(cut) == []


def test_the_plane_opens_from_the_landing_page_and_runs_once_trusted(page, address):
    panel, _ = open_notebook(page, f"{address}/lab/tree/{BEGIN}?reset")
    panel.get_by_role("link", name="You can walk in this plane").click()
    frame = page.frame_locator("iframe")  # into which none looks as long as it may run nothing
    page.get_by_role("button", name="Trust HTML").click()
    expect(frame.locator("#z")).to_contain_text("z1", timeout=20_000)


def test_where_a_widget_stands_a_picture_is_shown_before_it_runs(page, address, project):
    stored = (project / WIDGETS).read_bytes()
    panel, tab = open_notebook(page, f"{address}/lab/tree/{WIDGETS}?reset")
    panel.get_by_role("heading", name="Walk between two test images").scroll_into_view_if_needed()
    expect(panel.get_by_role("heading", name="Walk between two test images")).to_be_visible()
    outputs = panel.locator(".jp-CodeCell:has-text('explore(show') .jp-OutputArea-output")
    expect(outputs.locator("img, .widget-interact").first).to_be_visible(timeout=20_000)
    assert "interactive(" not in outputs.inner_text()
    expect(tab).not_to_have_class(CHANGED)
    assert (project / WIDGETS).read_bytes() == stored


def test_run_all_cells_shows_the_pictures_and_changes_outputs_only(page, address, project):
    file = project / "reproduce" / "fig_samples.ipynb"
    opened, stored = file.read_bytes(), without_outputs(file)
    panel, tab = open_notebook(page, f"{address}/lab/tree/reproduce/{file.name}?reset")
    expect(tab).to_contain_text(file.name)  # no other one is open
    expect(tab).not_to_have_class(CHANGED)
    assert file.read_bytes() == opened
    assert panel.locator(".jp-OutputArea-output").count() == 0
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(panel.locator(".jp-OutputArea-output img").first).to_be_visible(timeout=240_000)
    idle = panel.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']")
    expect(idle).to_be_visible(timeout=240_000)
    warnings = panel.locator(".jp-OutputArea-output[data-mime-type*='stderr']").all_inner_texts()
    assert [text for text in warnings if "EMBEDDED DATA stand in" not in text] == []
    assert panel.locator(".jp-OutputArea-output[data-mime-type*='error']").count() == 0
    picture = panel.locator(".jp-OutputArea-output img").first
    assert picture.evaluate("image => image.naturalWidth") > 300
    assert re.search(r"\[\d+\]:", panel.inner_text())
    page.keyboard.press("Control+s")
    expect(tab).not_to_have_class(CHANGED)
    assert nbformat.read(file, as_version=4) != stored
    assert without_outputs(file) == stored
