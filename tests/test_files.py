"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from vae_keras import _files


def test_a_killed_write_leaves_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"before")

    def die(self, content):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", die)
    with pytest.raises(KeyboardInterrupt):
        _files.replace(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
