"""How the documentation is built. Every reference must lead somewhere."""

import importlib.metadata

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring

project = "Assent"
author = "The Assent authors"
copyright = "The Assent authors, Apache-2.0"
release = importlib.metadata.version("assent")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "examples", "decisions/template.md"]
html_theme = "furo"
html_title = f"Assent {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "undoc-members": True,
    "exclude-members": "__init__, __new__",
}
# Most classes are made by the bus and not by callers: how is not shown.
autodoc_class_signature = "separated"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
nitpicky = True
# A name of another project is that project's to document; looking it up would make the
# build need the network. Ours, with or without their package, must resolve.
nitpick_ignore_regex = [
    ("py:class", r"bus\.lane\.Lane"),  # for doors, not for the host program
    (r"py:.*", r"(?!(bus|policy|processors)\.)[a-z_]\w*(\.\w+)+"),
    (r"py:.*", r"(\w+\.)*[A-Z]"),  # type variables
]


_sections = Config(napoleon_numpy_docstring=False)


def read_sections(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    lines: list[str],
) -> None:
    """Read Google's sections, as napoleon does, but leave properties their words.

    Of a property that begins `The receipt: made when asked for` napoleon would take
    what stands before the colon for a type.
    """
    kind = "method" if what in ("attribute", "property") else what
    lines[:] = GoogleDocstring(lines, _sections, app, kind, name, obj, options).lines()


def setup(app: Sphinx) -> None:
    """Have docstrings read before they are rendered."""
    app.connect("autodoc-process-docstring", read_sections)
