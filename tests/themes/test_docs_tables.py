"""The tables of the pages: they are what docs/tables.py makes of the committed ones."""

import pytest
from oracles.scripts import load

from vae_keras.reproduction import paths

PAGES = [paths.ROOT / "README.md", *sorted((paths.ROOT / "docs").glob("*.md"))]


@pytest.fixture
def tables(committed, monkeypatch):
    module = load("docs/tables.py")
    monkeypatch.setattr(module, "curves", committed)
    return module


def test_the_pages_have_the_tables_that_the_committed_ones_make(tables):
    """Else `python docs/tables.py` is to be run, and its result committed."""
    pages = {file.name: file.read_text() for file in PAGES}
    named = {name for page in pages.values() for _, name in tables.TABLE.findall(page)}
    assert named == set(tables.TABLES)
    assert {name: tables.written(page) for name, page in pages.items()} == pages


def test_what_stands_in_a_table_is_replaced_and_nothing_else(tables, monkeypatch):
    monkeypatch.setattr(tables, "TABLES", {"one": lambda: "| new |"})
    page = "| a |\n<!-- table: one -->\n| old |\n| old |\n\n| b |\n"
    assert tables.written(page) == "| a |\n<!-- table: one -->\n| new |\n\n| b |\n"
