"""Which device and which precision, by what the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Collection

import torch

from restore.choices import Precision
from restore.errors import UsageError

__all__ = ["DTYPES", "choose_device", "choose_precision", "native_bfloat16", "tile_side"]

_LEAST, _MOST = 32 * 2**20, 96 * 2**20  # bytes for a tile: smaller ones are mostly margin
_MOST_ON_GPU = 2**32
_MOST_IN_A_GRAPH = 2**30  # where a pixel takes ten times as much: the margin stays a fifth

_BFLOAT16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}

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


def choose_precision(
    precision: Precision, device: torch.device, supported: Collection[str] = tuple(DTYPES)
) -> torch.dtype:
    """``auto`` is bfloat16 where the hardware multiplies it natively, else float32.

    Half precision without such hardware is slower than float32, and float16 overflows in some networks:
    it is never chosen unasked.

    Args:
        precision: what the user wants.
        device: where the model runs.
        supported: what the model can be multiplied in; float32 always.

    Raises:
        UsageError: the model cannot work in that precision, or it is int8, in which PyTorch runs no network.
    """
    if precision == "int8":
        raise UsageError("int8 is for --engine openvino: name it, or use --precision auto")
    if precision == "auto":
        return torch.bfloat16 if "bf16" in supported and native_bfloat16(device) else torch.float32
    if precision != "fp32" and precision not in supported:
        raise UsageError(f"this model cannot work in {precision}: use --precision fp32 or auto")
    return DTYPES[precision]


def native_bfloat16(device: torch.device) -> str:
    """By what `device` multiplies bfloat16 at full speed, such as ``AMX``; empty where it does not."""
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return next((name for key, name in _BFLOAT16.items() if found.get(key, False)), "")
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"compute capability {major}.{minor}" if major >= 8 else ""
    return ""


def tile_side(device: torch.device, bytes_per_pixel: int, *, whole_graph: bool = False) -> int:
    """Side of the largest square tile whose work fits an eighth of the free memory, within limits.

    Args:
        device: whose memory.
        bytes_per_pixel: that a network holds at its fullest, per input pixel.
        whole_graph: an engine runs it, which cannot do the tail in small pieces.
    """
    most = _MOST_ON_GPU if device.type == "cuda" else _MOST_IN_A_GRAPH if whole_graph else _MOST
    room = min(max(_free_memory(device) // 8, _LEAST), most)
    return max(math.isqrt(room // bytes_per_pixel), 1)


def _free_memory(device: torch.device) -> int:
    """Bytes that a process can still have; 4 GiB where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**32
