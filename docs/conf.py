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
    "sphinx_automodapi.automodapi",
    "numpydoc",
    "figure_from_code",
    "from_code",
    "mathml",
]
exclude_patterns = ["_build", "_ext", "_templates"]
# the class page of automodapi would list the fields of every dataclass a second time, without their meaning
templates_path = ["_templates"]
root_doc = "index"

html_theme = "furo"
html_title = f"nrespipe {release}"
html_math_renderer = "mathml"
html_copy_source = False

autodoc_typehints = "none"
automodapi_inheritance_diagram = False
automodapi_toctreedirnm = "api"
numpydoc_show_class_members = False
# the interactive tables of contents of the reference would repeat every field of every noun
toc_object_entries = False
