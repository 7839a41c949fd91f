"""The conditioning inputs of a model, from the parameters that the degradation drew."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from restore.errors import DataError
from restore.interfaces import UNDEGRADED, Parameters

__all__ = ["conditions_of"]


def conditions_of(parameters: Parameters, names: Sequence[str]) -> Tensor:
    """The drawn values of some numbers.

    In a chain of degradations, the last element that drew a number of the name decides. A number that is in
    `restore.interfaces.UNDEGRADED` and was not drawn has the value given there.

    Args:
        parameters: of one image.
        names: of the numbers.

    Returns:
        ``(len(names),)`` float32.

    Raises:
        DataError: a number was not drawn.

    >>> conditions_of({"noise.sigma": 25.0, "noise.kind": "gaussian"}, ["sigma", "quality"])
    tensor([ 25., 100.])
    """
    return torch.tensor([_drawn(parameters, name) for name in names], dtype=torch.float32)


def _drawn(parameters: Parameters, name: str) -> float:
    found = [value for key, value in parameters.items() if key.rpartition(".")[2] == name]
    value = found[-1] if found else UNDEGRADED.get(name)
    if not isinstance(value, int | float):
        raise DataError(
            f"the degradation did not draw a number '{name}', which the model takes",
            hint="choose another `degradation`",
        )
    return float(value)
