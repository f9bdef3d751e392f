"""What the README shows works as it stands."""

import dataclasses
import re

import pytest
import yaml
from matplotlib.image import imread

import vae_keras
from vae_keras import datasets
from vae_keras.reproduction import paths

README = (paths.ROOT / "README.md").read_text()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
def test_the_quick_start_runs(monkeypatch, tmp_path):
    """On the embedded digits: no folder is named and no source answers."""
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    unreachable = dataclasses.replace(datasets._REMOTE["mnist"], sources=(("file:///nowhere",),))
    monkeypatch.setitem(datasets._REMOTE, "mnist", unreachable)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.strip().splitlines()) <= 16
    assert "300_000 // len" in code
    values = {}
    exec(code.replace("300_000", "12_000"), values)  # three epochs instead of 75
    assert values["digits"].shape == (2, 8, 28, 28)
    assert (tmp_path / "vae.keras").exists()
    shown = imread(paths.ROOT / "docs" / "digits.png")  # of MNIST itself
    assert imread(tmp_path / "digits.png").shape == shown.shape


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{file.name}" for file in (paths.ROOT / "docs").glob("*.md"))]
)
def test_what_a_page_links_to_is_there(page):
    folder = (paths.ROOT / page).parent
    targets = re.findall(r"\]\(([^)#]+)\)", (paths.ROOT / page).read_text())
    missing = [t for t in targets if not t.startswith("http") and not (folder / t).exists()]
    assert missing == []


def test_the_commands_of_the_readme_name_files_that_are_there():
    named = re.findall(r"[\w/.]+\.(?:py|sh|ipynb|yaml)\b", README)
    made = {"results/out.ipynb", "out.ipynb", "train.py"}
    assert [f for f in set(named) - made if not (paths.ROOT / f).exists()] == []


def test_the_kit_is_cited_as_what_it_is():
    citation = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text())
    assert citation["version"] == vae_keras.__version__
    assert "arxiv.org/abs/1312.6114" in citation["references"][0]["url"]


def test_a_public_ci_runs_the_commands_of_this_page():
    """In both orders; the tests of the commands are elsewhere."""
    workflow = yaml.safe_load((paths.ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["commands"]
    orders = [(run["first"], run["second"]) for run in job["strategy"]["matrix"]["include"]]
    for words in {word for order in orders for word in order}:
        assert words.split()[0] in README
        assert (paths.ROOT / words.split()[0]).is_file()
    assert {order[0].split("/")[0] for order in orders} == {"reproduce", "tests"}
