"""codecheck.yml: what the article shows, each with a command that the project has."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from vae_keras.reproduction import paths, presets

PAGE = (paths.ROOT / "codecheck.yml").read_text()
CHECK = yaml.safe_load(PAGE)
COMMANDS = {e["file"]: e["comment"].rsplit(": ", 1)[1] for e in CHECK["manifest"]}
DRAWN = {file: command for file, command in COMMANDS.items() if file.startswith("figures/")}
REPORT = (paths.ROOT / "docs" / "report.md").read_text()


@pytest.fixture(scope="module")
def tracked():
    listed = subprocess.check_output(["git", "ls-files"], cwd=paths.ROOT, text=True)
    return set(listed.splitlines())


def test_it_is_a_document_of_the_format_about_the_article():
    assert PAGE.startswith("---\n")
    assert CHECK["version"] == "https://codecheck.org.uk/spec/config/1.0/"
    citation = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text())
    (authors, *_), names = citation["authors"], [a["name"] for a in CHECK["paper"]["authors"]]
    assert names == [authors["name"]]
    assert (paths.ROOT / CHECK["paper"]["reference"]).read_text() == REPORT
    assert REPORT.startswith(f"# {CHECK['paper']['title']}\n")
    assert f"| Authors | {', '.join(names)} |" in REPORT
    assert f"| Keywords | {', '.join(citation['keywords'])} |" in REPORT


def test_every_figure_and_table_is_named_once_and_is_there(tracked):
    figures = re.compile(r"figures/(paper|standard)/\w+\.(png|csv)")
    assert {file for file in tracked if figures.fullmatch(file)} == set(DRAWN)
    assert len(CHECK["manifest"]) == len(COMMANDS)
    assert set(COMMANDS) <= tracked


@pytest.mark.parametrize("file", DRAWN)
def test_a_figures_command_draws_it(file):
    folder = (paths.ROOT / file).parent
    words = shlex.split(DRAWN[file])
    assert words[:4] == ["reproduce/run_all.sh", "--preset", folder.name, "--only"]
    (name,) = words[4:]
    assert name in paths.NAMES
    presets.read(folder.name)
    assert Path(file).name in json.loads((folder / f"{name}.json").read_text())["files"]


def test_the_other_tables_are_those_that_the_article_names_by_a_script_beside_them(tracked):
    others = {file: shlex.split(COMMANDS[file]) for file in set(COMMANDS) - set(DRAWN)}
    assert set(others) == set(re.findall(r"\.\./(benchmarks/\w+/\w+\.csv)\)", REPORT))
    for file, (python, script, *options) in others.items():
        assert python == "python"
        assert script in tracked
        assert Path(script).parent == Path(file).parent
        names = [word for word in options if word.startswith("--")]
        assert [n for n in names if f'"{n}"' not in (paths.ROOT / script).read_text()] == []
