"""Build the site: the command behind docs/build.sh, which makes the environment first.

python docs/site/build.py [FOLDER]     # into FOLDER/html; by default docs/_build/html
"""

import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from sphinx.cmd import build

DOCS = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0 if all was built without a warning."""
    folder = Path(arguments[0]) if arguments else DOCS / "_build"
    source, html = folder / "source", folder / "html"
    for made in (source, html):  # remove what an earlier build left
        shutil.rmtree(made, ignore_errors=True)
    import pages  # imports TensorFlow

    pages.lay_out(source)
    strict = ["-q", "--fail-on-warning", "--keep-going", "--fresh-env"]
    places = ["-c", str(DOCS), "-d", str(folder / "doctrees"), str(source), str(html)]
    status = build.main([*strict, *places])
    if not status:
        plane = (pages.ROOT / pages.PLANE).read_text()
        assert plane.count('href="../README.md"') == 1
        (html / pages.PLANE).write_text(plane.replace("../README.md", "../index.html"))
        print(f"written: {html / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
