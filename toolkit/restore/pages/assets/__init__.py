"""Markup, style and script of the pages, as files."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

__all__ = ["asset", "filled", "head"]


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


def head(title: str, command: str, style: str) -> str:
    """How each page begins: it asks nothing elsewhere, and its security policy sees to that.

    Args:
        title: as HTML.
        command: that made the page.
        style: name of the asset, besides what all pages share.
    """
    rules = f"<style>{asset('common.css')}{asset(style)}</style>"
    return filled("head.html", {"title": title, "command": command, "style": rules}).rstrip()
