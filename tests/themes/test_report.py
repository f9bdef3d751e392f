"""The replication report, and the PDF that is made of it."""

import re
import subprocess
import sys

import pytest
from oracles.browser import CHROMIUM

from vae_keras.reproduction import paths

SCRIPT = paths.ROOT / "docs" / "report_pdf.py"


def made(tmp_path, **environment):
    command = [sys.executable, str(SCRIPT), str(tmp_path / "report.pdf")]
    return subprocess.run(command, capture_output=True, text=True, env=environment or None)


@pytest.mark.long
@pytest.mark.skipif(
    CHROMIUM is None,
    reason="the report is not printed: no Chromium here (apt-get install chromium)",
)
def test_the_report_is_at_most_eight_pages_and_names_no_file_of_this_machine(tmp_path):
    assert made(tmp_path).returncode == 0
    pdf = (tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) <= 8
    assert re.findall(rb"/URI \((?!http)", pdf) == []
    assert b"/Subtype /Image" in pdf  # figure 2


def test_without_a_browser_it_says_so(tmp_path):
    done = made(tmp_path, PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "No chromium is installed (Debian: apt-get install chromium).\n"
