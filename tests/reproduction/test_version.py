"""Which code made a run: its commit, its files, and how that is told."""

import json
import subprocess

import pytest

from vae_keras.reproduction import command_line, experiments, store, version


def test_the_commit_is_that_of_the_kits_own_checkout(tmp_path, monkeypatch):
    """Not that of a user's project in whose folder it is installed."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    monkeypatch.setattr(version, "PACKAGE", tmp_path / "site-packages" / "vae_keras")
    (tmp_path / "site-packages").mkdir()
    assert version.commit() is None


@pytest.mark.usefixtures("no_xla")
def test_what_another_version_made_is_taken_and_said(
    small, faces, monkeypatch, capsys, checkpointed
):
    """Also of a run that another version goes on with, and of records that do not say."""

    def said():
        capsys.readouterr()
        experiments.run(small, faces)
        (told,) = [x for x in capsys.readouterr().out.splitlines() if "the store" in x] or [""]
        assert command_line.main(["runs"]) == 0
        listed = capsys.readouterr().out.splitlines()[1]
        assert listed.startswith(small.key)
        return told, listed

    here = version.this()
    old = {"version": "0.0.9", "commit": "0123456789abcdef-dirty", "sources": "feed"}
    with monkeypatch.context() as patch:
        patch.setattr(version, "this", lambda: old)
        checkpointed(small, faces)
    told, listed = said()  # it goes on from there
    words = "version 0.0.9 (commit 01234567-dirty) and then version "
    assert f"from the store, made by {words}" in told
    assert told.endswith(": aevb synthetic_faces N_z=2")
    assert f"finished, by {words}" in listed
    file = store.runs_folder() / small.key / store.RECORD
    record = json.loads(file.read_text())
    assert record["made_by"] == [old, here]
    for made_by, words in (
        ([here], ""),
        ([old | {"commit": None}], "version 0.0.9 (sources feed)"),
        (None, "an unknown version on unknown data"),
    ):
        file.write_text(json.dumps(record | {"made_by": made_by}))
        if made_by is None:  # as written before records had these fields
            names = ("data_sha256", "made_by")
            file.write_text(json.dumps({k: v for k, v in record.items() if k not in names}))
        told, listed = said()
        assert told == (f"from the store, made by {words}: {small.title}" if words else "")
        assert (f"finished, by {words}:" if words else "finished: ") in listed
