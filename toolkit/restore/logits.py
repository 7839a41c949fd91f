"""Logits of discriminators, which may have several scales, and their gradient by the images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from restore.interfaces import Logits

__all__ = ["input_gradient", "scales_of"]


def scales_of(logits: Logits) -> list[Tensor]:
    """The logits of each scale of a discriminator; most have one.

    Example:
        >>> len(scales_of(torch.zeros(2, 1)))
        1
    """
    return [logits] if isinstance(logits, Tensor) else list(logits)


def input_gradient(discriminator: Callable[[Tensor], Logits], images: Tensor) -> Tensor:
    """The gradient of each image's mean logit by the image, for penalties; it can be differentiated again.

    Positions count equally within a scale, and scales count equally.

    Args:
        discriminator: images to logits, differentiable twice.
        images: ``(B, 3, H, W)``; a gradient does not reach what they were made of.

    Returns:
        ``(B, 3, H, W)``.

    Example:
        >>> half = lambda images: images.square().flatten(1).sum(1, keepdim=True) / 2  # its gradient is x
        >>> input_gradient(half, torch.full((1, 3, 1, 1), 2.0)).flatten().tolist()
        [2.0, 2.0, 2.0]
    """
    images = images.detach().requires_grad_()
    scales = [scale.flatten(1).mean(1).sum() for scale in scales_of(discriminator(images))]
    (gradient,) = torch.autograd.grad(torch.stack(scales).mean(), images, create_graph=True)
    return gradient
