"""How Sphinx builds the manual: ``sphinx-build -W docs docs/_build/html``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import nrespipe

project = "nrespipe"
author = "the nrespipe authors"
copyright = author
release = version = nrespipe.__version__

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "figure_from_code",
    "from_code",
    "mathml",
]
# earlier versions of the build wrote pages into api
exclude_patterns = ["_build", "_ext", "api"]
root_doc = "index"

html_theme = "furo"
html_title = f"nrespipe {release}"
html_math_renderer = "mathml"
html_copy_source = False

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
# the interactive tables of contents of the reference would repeat every field of every noun
toc_object_entries = False
