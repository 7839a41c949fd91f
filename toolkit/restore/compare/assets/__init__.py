"""Markup, style and script of the pages, as files."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

__all__ = ["asset", "filled"]


def asset(name: str) -> str:
    """The text of a file in this folder."""
    return (files(__name__) / name).read_text(encoding="utf-8")


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with each ``{{name}}`` replaced, once and by what is not looked at again."""
    first, *rest = asset(template).split("{{")
    parts = [first]
    for part in rest:
        name, text = part.split("}}", 1)
        parts += [values[name], text]
    return "".join(parts)
