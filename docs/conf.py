"""Sphinx configuration: `sphinx-build -n -W --keep-going docs docs/_build`. The build needs no network."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "restore"
author = "the restore project"
copyright = "the restore project, Apache-2.0"  # noqa: A001
release = version = installed_version("restorekit")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "pictures"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
default_role = "code"  # single backticks in docstrings are code

# Types in annotations that have no page on this site: those of other libraries, and some internal ones.
_WITHOUT_PAGE = (
    r"restore\.(data\.pairs\.ImagePair|inference\.restorer\.(Kind|Selected)|inference\.choosing\.(Choice|RuleRow)"
    r"|batch\.jobs\.Transfer|batch\.urls\.Url"
    r"|interfaces\.options\.Parsed|registry\.entries\.Entry)"
)
nitpick_ignore_regex = [("py:.*", rf"(?!restore\.).*|{_WITHOUT_PAGE}")]


html_theme = "furo"
html_title = "restore"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_show_search_summary = False  # needs a server, but the site also works from a folder
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "monokai"


def setup(app: Sphinx) -> None:
    """Insert the generated parts when a page is read."""
    app.connect("autodoc-process-docstring", _without_type, priority=400)  # before napoleon


def _without_type(_: Sphinx, what: str, __: str, ___: object, ____: object, lines: list[str]) -> None:
    """Protect the first colon of a field's docstring: napoleon would read the words before it as a type."""
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = f": {lines[0]}"
