"""The options of an entry, and their validation."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from restore.errors import OptionsError, nearest, shortened

__all__ = ["Options", "lazy", "parse"]


class Options(BaseModel):
    """Options of an entry: subclass it with one documented field per option. Unknown keys are refused.

    >>> from pydantic import Field
    >>> class BlurOptions(Options):
    ...     sigma: float = Field(1.5, gt=0, description="standard deviation in pixels")
    >>> BlurOptions(sigma=2).sigma
    2.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def lazy(target: str) -> Callable[..., Any]:
    """Return a function that imports ``"package.module:function"`` when it is called, and calls it.

    With it, a plugin refers to functions of modules that import torch, without importing them.

        >>> lazy("math:hypot")(3, 4)
        5.0
    """
    module, _, name = target.partition(":")

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    return call


Parsed = TypeVar("Parsed", bound=BaseModel)


def parse(schema: type[Parsed], values: Mapping[str, Any], owner: str) -> Parsed:
    """Validate `values` against `schema`.

    Args:
        schema: a pydantic model that forbids extra keys.
        values: the user's values by key; strings are converted to the type of the field.
        owner: the entry for messages, such as "model 'enhancenet'".

    Raises:
        OptionsError: names every wrong key, its value, the owner and the most similar key.

        >>> parse(Options, {"width": 3}, "model 'sharp'")
        Traceback (most recent call last):
            ...
        restore.errors.OptionsError: model 'sharp' has no option 'width'. Known options: none
    """
    if not isinstance(values, Mapping):
        raise OptionsError(f"{owner} takes options by name, not {shortened(repr(values), 100)}")
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        problems = [
            _describe(problem, schema, owner)
            for problem in error.errors()
            if problem["type"] != "default_factory_not_called"  # it follows from another problem
        ]
        raise OptionsError("; ".join(problems)) from None


def _describe(problem: Mapping[str, Any], schema: type[BaseModel], owner: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        *path, name = problem["loc"]
        fields = _schema_at(path, schema).model_fields
        known = ", ".join(sorted(fields)) or "none"
        return f"{owner} has no option '{key}'.{nearest(str(name), fields)} Known options: {known}"
    if problem["type"] == "missing":
        return f"{owner} needs a value for '{key}'"
    where = f"option '{key}' of {owner}" if key else owner
    reason = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {reason}, but got {shortened(repr(problem['input']), 100)}"


def _schema_at(path: Sequence[str | int], schema: type[BaseModel]) -> type[BaseModel]:
    """The schema at `path`, such as that of the items of a list, within `schema`."""
    for part in path:
        if isinstance(part, str) and part in schema.model_fields:
            annotation = schema.model_fields[part].annotation
            for kind in (annotation, *get_args(annotation)):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    schema = kind
    return schema
