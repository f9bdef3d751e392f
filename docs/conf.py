"""The site's configuration, for docs/build.sh; docs/site/pages.py lays out what Sphinx reads.

Nothing is loaded from the internet, neither when the site is built nor when it is read.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "site"))

import docstrings
from sphinx.application import Sphinx

import vae_keras

project = "vae_keras"
version = release = vae_keras.__version__
copyright = "the vae-keras authors, MIT licence"
language = "en"

extensions = [
    "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx-mathjax-offline",
    "sphinx.ext.viewcode", "sphinx_copybutton",
]  # fmt: skip
copybutton_prompt_text = r">>> |\.\.\. "  # not copied, and neither is a doctest's output
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
nitpicky = True
# No network, so no inventories of other projects: their objects are named, not linked.
nitpick_ignore_regex = [("py:.*", rf"({'|'.join(docstrings.OTHERS)})(\..*)?")]

exclude_patterns = ["stored"]  # the notebooks as they are, to be downloaded

# Pages and notebooks. A notebook is shown with its stored outputs, and is never run here.
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4

# The library, from its docstrings.
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
add_module_names = False  # headings have them
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 110
toc_object_entries_show_parents = "hide"
smartquotes = False  # quoted text is mostly to be typed

html_theme = "furo"
html_title = f"vae_keras {version}"
html_static_path = ["site/static"]
html_favicon = html_logo = "site/static/favicon.svg"  # z -> x, as in figure 1
html_css_files = ["site.css"]
html_js_files = ["sidebar.js", "article.js", "explore.js", "plane.js"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}


def setup(app: Sphinx) -> None:
    """Formulas as SVG, without font files, which some browsers refuse to pages read from disk."""
    app.config.mathjax_path = "mathjax/tex-svg.js"
    app.connect("autodoc-process-docstring", docstrings.as_rst)
    app.connect("autodoc-process-signature", docstrings.signature)
    app.connect("autodoc-process-bases", docstrings.bases)
    app.connect("autodoc-skip-member", docstrings.inherited)
    app.connect("viewcode-follow-imported", docstrings.module_of)
    app.connect("viewcode-find-source", docstrings.source_of)
    app.connect("env-updated", docstrings.found_once)
    app.connect("html-page-context", docstrings.search_page)
