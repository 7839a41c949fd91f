"""Which device and which precision, by what the machine has."""

from __future__ import annotations

import torch

from restore.config import Precision
from restore.errors import UsageError

__all__ = ["DTYPES", "choose_device", "choose_precision"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` is the first of CUDA, Apple's Metal and the CPU that is there.

    Raises:
        UsageError: the device does not exist or is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"there is no device '{name}': use auto, cpu, cuda, cuda:N or mps") from None
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        raise UsageError(f"this machine has no usable '{name}': use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"there is no '{name}': this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def choose_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 where the hardware multiplies it natively, else float32.

    Half precision without such hardware is slower than float32, and float16 overflows in some networks:
    it is never chosen unasked.
    """
    if precision != "auto":
        return DTYPES[precision]
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        native = capabilities.get("amx_bf16", False) or capabilities.get("avx512_bf16", False)
    elif device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = False
    return torch.bfloat16 if native else torch.float32
