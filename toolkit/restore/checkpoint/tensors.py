"""Tensors and JSON as files: equal content gives equal bytes, and foreign content is checked before use."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from restore.errors import UsageError, WeightsError, first_line
from restore.files import atomic_file

__all__ = [
    "build_within",
    "channels_last",
    "check_size",
    "load_tensors",
    "save_tensors",
    "shapes_of",
    "to_json",
]

_RATIO = 4  # of what a network may register to what its file has: a parametrization registers a weight twice
_FEW_TENSORS, _FEW_ELEMENTS = 256, 2**20  # always allowed, for buffers that are not saved


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write `tensors` completely or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    # Clones, because safetensors refuses tensors that share memory.
    content = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_file(file) as temporary:
        try:
            # None, because with neither tensors nor metadata it writes a file that it cannot read.
            save_file(content, temporary, metadata=metadata or None)
        except SafetensorError as error:  # how it reports a full disk
            raise OSError(first_line(error)) from error


def load_tensors(module: nn.Module, file: Path) -> None:
    """Load the parameters and buffers of `module` from a ``.safetensors`` file.

    Raises:
        WeightsError: the file is damaged or does not fit `module`, or has values that are not finite, or
            integers in place of floats.
    """
    try:
        state = load_file(file)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read the weights: {first_line(error)}", path=file) from error
    expected = module.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WeightsError(f"the tensor '{name}' has values that are not finite", path=file)
        if not tensor.is_floating_point() and name in expected and expected[name].is_floating_point():
            raise WeightsError(f"the tensor '{name}' is {tensor.dtype}, not a floating type", path=file)
    try:
        module.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as error:
        raise WeightsError(f"the weights do not fit the model: {first_line(error)}", path=file) from error


def check_size(file: Path, build: Callable[[], nn.Module]) -> None:
    """Check by the header of a weights file that `build` makes a network of about its size.

    The options in a file may describe a network that would take all memory or never be finished: it is built
    without memory (on the device "meta"), and only for as long as it can still be the file's own.

    Args:
        file: ``.safetensors``.
        build: makes the network that the file's options describe.

    Raises:
        WeightsError: the network is several times larger than the file, or the file is damaged.
    """
    shapes = shapes_of(file)
    elements = sum(math.prod(shape) for shape in shapes.values())
    tensors = _RATIO * len(shapes) + _FEW_TENSORS
    problem = "the options in the file describe a network that is much larger than its tensors"
    with _limit(_RATIO * elements + _FEW_ELEMENTS, tensors, WeightsError(problem, path=file)):
        _build_on_meta(build)


def shapes_of(file: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a ``.safetensors`` file, from its header.

    Raises:
        WeightsError: the file is damaged.
    """
    try:
        with safe_open(file, framework="pt") as content:
            names = content.keys()
            return {name: tuple(content.get_slice(name).get_shape()) for name in names}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read the weights: {first_line(error)}", path=file) from error


def build_within(build: Callable[[], nn.Module], elements: int, subject: str) -> None:
    """Check that the network that `build` makes has at most so many elements, without taking memory for it.

    Args:
        build: makes the network.
        elements: limit of the elements of all parameters and buffers.
        subject: names the network in the error.

    Raises:
        UsageError: it has more.
    """
    problem = f"{subject} has more than {elements:,} parameters, which do not fit the memory"
    with _limit(elements, 2**62, UsageError(problem, hint="choose smaller options")):
        _build_on_meta(build)


def channels_last(module: nn.Module) -> nn.Module:
    """Lay out the tensors of rank 4 in `module` as channels_last, in place; others have no such layout.

    >>> convolution = channels_last(nn.Conv2d(3, 8, 3))
    >>> convolution.weight.is_contiguous(memory_format=torch.channels_last)
    True
    >>> channels_last(nn.Conv3d(3, 8, 3)).weight.shape
    torch.Size([8, 3, 3, 3, 3])
    """
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return module


def to_json(content: Any) -> str:
    """JSON with sorted keys.

    >>> to_json({"b": 1, "a": [2.5]})
    '{"a": [2.5], "b": 1}'
    """
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


class _TooLarge(BaseException):
    """Ends a build: not an Exception, which a plugin could catch."""


class _WithoutDrawing(TorchFunctionMode):
    """Skips `Tensor.normal_`, which on the device "meta" imports the compiler of PyTorch for seconds."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `func`, or return the tensor that it would fill."""
        return args[0] if func is torch.Tensor.normal_ else func(*args, **(kwargs or {}))


def _build_on_meta(build: Callable[[], nn.Module]) -> None:
    # What cannot be built there is built for real by the caller, and fails there if it has to.
    with suppress(Exception), torch.random.fork_rng(devices=[]), torch.device("meta"), _WithoutDrawing():
        build()


@contextmanager
def _limit(elements: int, tensors: int, refusal: Exception) -> Iterator[None]:
    """Raise `refusal` when the modules that this thread builds in the block register more than that."""
    thread = threading.get_ident()
    left = {"elements": elements, "tensors": tensors}

    def count(_module: nn.Module, _name: str, tensor: Any) -> None:
        if threading.get_ident() == thread and tensor is not None:
            left["elements"] -= tensor.numel()
            left["tensors"] -= 1
            if min(left.values()) < 0:
                raise _TooLarge

    hooks = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    except _TooLarge:
        raise refusal from None
    finally:
        for hook in hooks:
            hook.remove()
