"""What a user may change about an entry, and how what they gave is checked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from restore.errors import OptionsError, nearest

__all__ = ["Options", "lazy", "parse"]


class Options(BaseModel):
    """What a user may change about an entry: subclass it, one documented field an option.

    Unknown keys are refused. An entry without options uses this class as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def lazy(target: str) -> Callable[..., Any]:
    """The function at ``"package.module:function"``, imported when it is first called.

    So a plugin can name what builds its networks without importing torch.
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
        values: what the user gave, keys to values; strings are converted to the field's type.
        owner: whose options these are, for the message ("model 'enhancenet'").

    Raises:
        OptionsError: names every wrong key, its value, the owner and the nearest known key.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        problems = [
            _describe(problem, schema, owner)
            for problem in error.errors()
            if problem["type"] != "default_factory_not_called"  # only follows from another problem
        ]
        raise OptionsError("; ".join(problems)) from None


def _describe(problem: Mapping[str, Any], schema: type[BaseModel], owner: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = ", ".join(sorted(schema.model_fields)) or "none"
        return f"{owner} has no option '{key}'.{nearest(key, schema.model_fields)} Known options: {known}"
    if problem["type"] == "missing":
        return f"{owner} needs a value for '{key}'"
    where = f"option '{key}' of {owner}" if key else owner
    reason = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {reason}, but got {problem['input']!r}"
