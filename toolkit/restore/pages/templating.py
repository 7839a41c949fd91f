"""Templates, styles and scripts of the pages. A page is one file: everything is embedded in it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["asset", "render"]


def render(template: str, **values: Any) -> str:
    """Fill a template; values are escaped unless they are `Markup`.

    Args:
        template: name of a file among the assets, such as ``compare.html``.
        values: the variables of the template.
    """
    return _environment().get_template(template).render(version=version("restorekit"), **values)


def asset(name: str) -> Markup:
    """The text of a file among the assets, which is part of the package and needs no escaping.

    >>> "<script" in asset("compare.html")
    True
    """
    return Markup((files(__package__) / "assets" / name).read_text(encoding="utf-8"))  # noqa: S704 - see above


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("restore.pages", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = asset
    return environment
