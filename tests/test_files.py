"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from vae_keras import _files


def test_a_file_is_written_or_replaced_in_folders_that_are_made(tmp_path):
    path = tmp_path / "some" / "where" / "file"
    for content in (b"before", b"after", b""):
        _files.replace(path, content)
        assert path.read_bytes() == content
        assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_killed_write_leaves_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"before")

    def die(self, content):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", die)
    with pytest.raises(KeyboardInterrupt):
        _files.replace(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_nobody_sees_a_file_that_is_half_written(monkeypatch, tmp_path):
    """What has the name is what was there before, until all of the new one is."""
    path, write = tmp_path / "file", Path.write_bytes
    path.write_bytes(b"before")
    seen = []

    def watched(self, content):
        write(self, content[:3])
        seen.append((path.read_bytes(), str(os.getpid()) in self.name, self.parent == path.parent))
        write(self, content)

    monkeypatch.setattr(Path, "write_bytes", watched)
    _files.replace(path, b"after")
    # Named after the process, lest two of them write the same one; beside it, to be renamed.
    assert seen == [(b"before", True, True)]
    assert path.read_bytes() == b"after"


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    _files.check_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        _files.check_writable(tmp_path / "file")
