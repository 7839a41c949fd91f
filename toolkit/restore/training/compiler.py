"""`torch.compile`, and a check that it works on this machine."""

from __future__ import annotations

from typing import cast

import torch
import torch._functorch.config
from torch import nn

from restore.errors import UsageError, first_line

__all__ = ["BACKEND", "check_compiler", "compiled"]

BACKEND = "inductor"
"""Backend of `torch.compile`; this one generates C++ or Triton code and needs a compiler on the machine."""


def compiled(network: nn.Module) -> nn.Module:
    """`network`, compiled when it is first called."""
    # The gradient of each term passes back through one graph, whose buffers a compiled one would reuse. Only
    # this private setting prevents that; a test of training notices if it moves.
    torch._functorch.config.donated_buffer = False
    return cast(nn.Module, torch.compile(network, backend=BACKEND))


def check_compiler(device: torch.device) -> None:
    """Compile a small function to check that the compiler works.

    Raises:
        UsageError: it does not.
    """
    try:
        compiled(nn.ReLU())(torch.ones(8, device=device))
    except Exception as error:  # each backend has its own kinds
        raise UsageError(
            f"`compile=True` does not work on this machine ({first_line(error)})",
            hint="install a C++ compiler such as g++, or set `compile` to false",
        ) from error
