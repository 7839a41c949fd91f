"""Adapter from spandrel's networks to the tensor contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from spandrel import ImageModelDescriptor, SizeRequirements
from torch import Tensor, nn

from restore_spandrel.tracing import make_traceable

__all__ = ["Network"]

_INNER = "model."


class Network(nn.Module):
    """Pads the image to a size that the network accepts, as spandrel does, and crops the result.

    Its ``state_dict`` is that of the network, without a prefix, so that its files load in spandrel.

    Args:
        model: maps RGB images to RGB images.
        scale: output pixels per input pixel.
        requirements: the sizes that `model` accepts.
        call: calls `model` with an image.
    """

    def __init__(
        self,
        model: nn.Module,
        scale: int,
        requirements: SizeRequirements,
        call: Callable[[nn.Module, Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.scale = scale
        self.model = model
        self._requirements = requirements
        self._call = call
        self.register_state_dict_post_hook(_without_prefix)  # type: ignore[no-untyped-call] # torch's
        self.register_load_state_dict_pre_hook(_with_prefix)  # type: ignore[no-untyped-call] # torch's

    @classmethod
    def of(cls, descriptor: ImageModelDescriptor[nn.Module]) -> Network:
        """The network of a file.

        Not the descriptor itself, which clamps, and which can neither be differentiated nor traced.
        """
        for name, parameter in descriptor.model.named_parameters():
            if ".eval_conv." in name:  # SPAN computes these from its other weights
                parameter.requires_grad_(requires_grad=False)
        make_traceable(descriptor.model)
        return cls(descriptor.model, descriptor.scale, descriptor.size_requirements, descriptor._call_fn)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` -> ``(B, 3, scale*H, scale*W)``, not clamped."""
        height, width = (side * self.scale for side in image.shape[-2:])
        if torch.compiler.is_exporting() and not self._requirements.none:
            restored: Tensor = self._call(self.model, _gathered(image, self._requirements))
            # Slices would make the exporter prove that the result is large enough.
            rows, columns = (torch.arange(side, device=image.device) for side in (height, width))
            return restored.index_select(-2, rows).index_select(-1, columns)
        # A copy, because some networks change their input, such as RCAN.
        restored = self._call(self.model, _padded(image, self._requirements).clone())
        return restored[..., :height, :width]


def _without_prefix(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:  # noqa: ARG001
    """Rename ``model.NAME`` to ``NAME``."""
    for key in [key for key in state if key.startswith(prefix + _INNER)]:
        state[prefix + key.removeprefix(prefix + _INNER)] = state.pop(key)


def _with_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:  # noqa: ARG001
    """Rename ``NAME`` to ``model.NAME``."""
    for key in [key for key in state if key.startswith(prefix)]:
        state[prefix + _INNER + key.removeprefix(prefix)] = state.pop(key)


def _padded(image: Tensor, requirements: SizeRequirements) -> Tensor:
    """Pad at the right and the bottom by reflection, or by replication if the image is too small."""
    if requirements.none:
        return image
    height, width = image.shape[-2:]
    right, bottom = requirements.get_padding(width, height)
    if not (right or bottom):
        return image
    mirrored = min(right, width - 1), min(bottom, height - 1)
    image = F.pad(image, (0, mirrored[0], 0, mirrored[1]), "reflect")
    return F.pad(image, (0, right - mirrored[0], 0, bottom - mirrored[1]), "replicate")


def _gathered(image: Tensor, requirements: SizeRequirements) -> Tensor:
    """The same as `_padded` without a decision by the size, for a graph that takes any size."""
    least, step = requirements.minimum, requirements.multiple_of
    sides = [(torch.sym_max(side, least) + step - 1) // step * step for side in image.shape[-2:]]
    if requirements.square:
        sides = [torch.sym_max(*sides)] * 2
    for dim, side in zip((-2, -1), sides, strict=True):
        last = image.shape[dim] - 1
        mirrored = last - (torch.arange(side, device=image.device) - last).abs()
        image = image.index_select(dim, mirrored.clamp(min=0))
    return image
