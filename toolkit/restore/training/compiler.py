"""`torch.compile`, and whether this machine can do it."""

from __future__ import annotations

from typing import cast

import torch
import torch._functorch.config
from torch import nn

from restore.errors import UsageError, first_line

__all__ = ["BACKEND", "check_compiler", "compiled"]

BACKEND = "inductor"
"""Which of torch's compilers: this one writes C++ or Triton, so that the machine has to have a compiler."""


def compiled(network: nn.Module) -> nn.Module:
    """`network`, compiled when it is first called."""
    # The gradient of each term passes back through one graph, which a compiled one would use up.
    torch._functorch.config.donated_buffer = False
    return cast(nn.Module, torch.compile(network, backend=BACKEND))


def check_compiler(device: torch.device) -> None:
    """Compile a trifle.

    Raises:
        UsageError: this machine cannot.
    """
    try:
        compiled(nn.ReLU())(torch.ones(8, device=device))
    except Exception as error:  # each backend has its own kinds
        raise UsageError(
            f"--compile does not work on this machine ({first_line(error)}): install a C++ compiler such as "
            f"g++, or use --no-compile"
        ) from error
