"""Options that several commands share, as fields of a dataclass."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

__all__ = ["grouped"]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take the fields of dataclasses as options.

    A parameter that is annotated with a dataclass is replaced by the fields of the dataclass, at its place.
    The fields are annotated in the way of typer, as the other parameters are.

    Args:
        command: a function of keyword-only parameters.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Size:
        ...     width: int
        ...     height: int = 1
        >>> @grouped
        ... def show(*, size: Size, unit: str = "px") -> None:
        ...     print(f"{size.width}x{size.height} {unit}")
        >>> list(inspect.signature(show).parameters)
        ['width', 'height', 'unit']
        >>> show(width=3, unit="cm")
        3x1 cm
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            own = get_type_hints(groups[name], include_extras=True)
            signature = inspect.signature(groups[name])
            parameters += [each.replace(annotation=own[each.name]) for each in signature.parameters.values()]
        else:
            parameters.append(parameter.replace(annotation=hints[name]))

    @wraps(command)
    def run(**options: Any) -> None:
        for name, group in groups.items():
            names = {field.name for field in fields(group)} & options.keys()
            options[name] = group(**{each: options.pop(each) for each in names})
        command(**options)

    vars(run)["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
