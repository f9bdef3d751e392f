"""Which code made a run: its commit, its files, and how that is told."""

import subprocess

import pytest

from vae_keras.__main__ import main
from vae_keras.reproduction import runs, store, version


def test_the_commit_is_that_of_the_kits_own_checkout(tmp_path, monkeypatch):
    """Not that of a user's project in whose folder it is installed."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    monkeypatch.setattr(version, "PACKAGE", tmp_path / "site-packages" / "vae_keras")
    (tmp_path / "site-packages").mkdir()
    assert version.commit() is None


def test_what_another_version_made_is_taken_and_said(
    small, faces, monkeypatch, capsys, checkpointed
):
    """Of a run that another version goes on with."""
    here = version.this()
    old = {"version": "0.0.9", "commit": "0123456789abcdef-dirty", "sources": "feed"}
    with monkeypatch.context() as patch:
        patch.setattr(version, "this", lambda: old)
        checkpointed(small, faces)
    capsys.readouterr()
    runs.run(small, faces)
    words = "version 0.0.9 (commit 01234567-dirty) and then version "
    (told,) = [x for x in capsys.readouterr().out.splitlines() if "the store" in x]
    assert f"from the store, made by {words}" in told
    assert told.endswith(": aevb synthetic_faces N_z=2")
    assert main(["runs"]) == 0
    listed = capsys.readouterr().out.splitlines()[1]
    assert listed.startswith(small.key)
    assert f"finished, by {words}" in listed
    assert store.read_record(small.key, small.samples)["made_by"] == [old, here]


def test_the_hash_is_of_the_files_and_their_names(tmp_path):
    def hash_of(**files):
        for file in [path for path in tmp_path.rglob("*") if path.is_file()]:
            file.unlink()
        for name, content in files.items():
            file = tmp_path / name.replace("_", "/")
            file.parent.mkdir(exist_ok=True)
            file.write_text(content)
        return version.hash_of(tmp_path)

    hashes = [
        hash_of(**files) for files in ({"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": ""})
    ]
    hashes += [hash_of(sub_a="1"), hash_of(a="", b="1"), hash_of()]
    assert len(set(hashes)) == len(hashes)
    assert hash_of(b="2", a="1") == hash_of(a="1", b="2")
    assert len(hashes[0]) == 16
    assert hash_of(**{"a": "1", ".hidden": "x"}) == hashes[0]


def test_the_commit_says_whether_sources_differ_from_it(tmp_path, monkeypatch):
    monkeypatch.setattr(version, "PACKAGE", tmp_path / "vae_keras")
    for folder in ("vae_keras", "reproduce", "docs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    assert version.commit() == head
    for folder, dirty in (("docs", ""), ("reproduce", "-dirty"), ("vae_keras", "-dirty")):
        file = tmp_path / folder / "__init__.py"
        file.write_text("changed")
        assert version.commit() == head + dirty
        file.write_text("")
    assert version.this()["commit"] == head
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no git
    assert version.commit() is None


HERE = {"version": version.__version__, "commit": None, "sources": version.SOURCES}
OLD = {"version": "0.1", "commit": "0123456789", "sources": "feed"}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"made_by": [HERE]}, ""),
        ({"made_by": [HERE, HERE]}, ""),
        ({"made_by": [OLD]}, "version 0.1 (commit 01234567)"),
        (
            {"made_by": [OLD | {"commit": "0123456789-dirty"}, OLD | {"commit": None}]},
            "version 0.1 (commit 01234567-dirty) and then version 0.1 (sources feed)",
        ),
    ],
    ids=["this", "this twice", "old", "two others"],
)  # fmt: skip
def test_who_made_a_run_is_told_where_it_was_not_this_version_alone(record, words):
    assert version.others(record) == words
