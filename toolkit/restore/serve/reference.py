"""The description of the interface as a page, made from its OpenAPI document."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

__all__ = ["reference"]


def reference(document: dict[str, Any]) -> str:
    """The page as HTML, without scripts.

    Args:
        document: of OpenAPI.
    """
    text = (files("restore.serve") / "static" / "reference.html.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    schemas = document["components"]["schemas"]
    return environment.from_string(text).render(
        version=version("restorekit"),
        routes=[
            {
                "method": method.upper(),
                "path": path,
                "text": route.get("description", ""),
                "parameters": route.get("parameters", []),
            }
            for path, methods in document["paths"].items()
            for method, route in methods.items()
        ],
        schemas={
            name: schemas[name]
            for name in ("JobOptions", "JobView", "ImageView", "PlanView")
            if name in schemas
        },
    )
