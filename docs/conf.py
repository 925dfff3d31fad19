"""Sphinx configuration. `sphinx-build -W docs build/docs` builds the pages; it needs convkern installed."""

import runpy
from pathlib import Path

import convkern

project = "convkern"
author = "convkern developers"
copyright = "convkern developers"  # noqa: A001  (Sphinx's name)
version = release = convkern.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.strikethrough"]

numpydoc_show_class_members = False
autodoc_typehints = "none"  # the numpydoc sections give types in words
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = f"convkern {release}"
html_theme_options = {"navigation_with_keys": True}


def setup(app):
    """Draw the gallery's pictures before the pages are read."""
    script = Path(__file__).parent / "gallery" / "pictures.py"
    app.connect("builder-inited", lambda _: runpy.run_path(str(script), run_name="__main__"))
