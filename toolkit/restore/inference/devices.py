"""Choose device, precision and tile size by what the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import torch

from restore.choices import Precision
from restore.errors import UsageError

__all__ = ["DTYPES", "available_memory", "choose_device", "choose_precision", "native_bfloat16", "tile_side"]

_LEAST, _MOST = 32 * 2**20, 96 * 2**20  # bytes for a tile: smaller ones are mostly margin
_MOST_ON_GPU = 2**32
_MOST_IN_A_GRAPH = 2**30  # where a pixel takes ten times as much: the margin stays a fifth

_UNKNOWN = 2**32  # free bytes where the system does not say

_BFLOAT16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """Choose a device: ``auto`` is the first available one of CUDA, Apple's Metal and the CPU.

    Raises:
        UsageError: the device does not exist or is not available.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise UsageError(
            f"there is no device '{name}'", hint="set `device` to auto, cpu, cuda, cuda:N or mps"
        ) from None
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        raise UsageError(f"this machine has no usable '{name}'", hint="set `device` to cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"there is no '{name}': this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def choose_precision(
    precision: Precision, device: torch.device, supported: Collection[str] = tuple(DTYPES)
) -> torch.dtype:
    """Choose a number format: ``auto`` is bfloat16 where the hardware multiplies it natively, else float32.

    Half precision without such hardware is slower than float32, and float16 overflows in some networks:
    it is only used on request.

    Args:
        precision: the requested format.
        device: where the network runs.
        supported: formats that the network can multiply in, besides float32.

    Raises:
        UsageError: the network cannot work in that precision, or it is int8, in which PyTorch runs none.

    Example:
        >>> choose_precision("fp32", torch.device("cpu"))
        torch.float32
    """
    if precision == "int8":
        raise UsageError(
            "PyTorch runs no network in int8", hint="set `engine` to openvino, or `precision` to auto"
        )
    if precision == "auto":
        return torch.bfloat16 if "bf16" in supported and native_bfloat16(device) else torch.float32
    if precision != "fp32" and precision not in supported:
        raise UsageError(f"this model cannot work in {precision}", hint="set `precision` to fp32 or auto")
    return DTYPES[precision]


def native_bfloat16(device: torch.device) -> str:
    """The feature by which `device` multiplies bfloat16 at full speed, such as ``AMX``; empty without one."""
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return next((name for key, name in _BFLOAT16.items() if found.get(key, False)), "")
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"compute capability {major}.{minor}" if major >= 8 else ""
    return ""


def tile_side(
    device: torch.device, bytes_per_pixel: int, *, whole_graph: bool = False, free: int | None = None
) -> int:
    """Side of the largest square tile whose work fits an eighth of the free memory, within limits.

    Args:
        device: where the network runs.
        bytes_per_pixel: peak memory of the network per input pixel.
        whole_graph: an engine runs it, which cannot do the tail in small pieces.
        free: bytes; `None` asks the system.
    """
    most = _MOST_ON_GPU if device.type == "cuda" else _MOST_IN_A_GRAPH if whole_graph else _MOST
    free = available_memory(device) if free is None else free
    room = min(max((_UNKNOWN if free is None else free) // 8, _LEAST), most)
    return max(math.isqrt(room // bytes_per_pixel), 1)


def available_memory(device: torch.device | None = None) -> int | None:
    """Bytes that this process can still get on a device, by default of the host; `None` if that is unknown.

    On Linux this counts memory that the system would take back from its caches and free swap space, and
    the limit of a container.
    """
    if device is not None and device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    found = [size for size in (_free_on_linux(), *_left_in_container()) if size is not None]
    if found:
        return min(found)
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _free_on_linux() -> int | None:
    values = _numbers(Path("/proc/meminfo"))
    if "MemAvailable:" not in values:
        return None
    return (values["MemAvailable:"] + values.get("SwapFree:", 0)) * 1024


def _left_in_container() -> Iterator[int]:
    """What the limits of control groups leave, versions 2 and 1."""
    for folder, limit, usage, caches in (
        (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
        (
            Path("/sys/fs/cgroup/memory"),
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ):
        with suppress(OSError, ValueError):  # not this version, or "max", which is no limit
            left = int((folder / limit).read_text()) - int((folder / usage).read_text())
            yield left + _numbers(folder / "memory.stat").get(caches, 0)


def _numbers(file: Path) -> dict[str, int]:
    """The lines ``NAME NUMBER ...`` of a file of the kernel."""
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}
