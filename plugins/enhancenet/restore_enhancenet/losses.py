"""The perceptual loss and the texture loss, sections 4.2.2 and 4.2.3 of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.sharpening import SharpenedTarget
from restore_enhancenet.options import PerceptualOptions, TextureOptions
from restore_enhancenet.vgg import Vgg19, before_relu

__all__ = ["PerceptualLoss", "TextureLoss", "build_perceptual", "build_texture", "gram_matrices"]

_PATCH_AREA = 16 * 16  # positions of the patches for which the paper gives its weights


class _VggLoss(nn.Module):
    """A weighted sum over layers of VGG-19.

    Args:
        network: VGG-19, shared with other losses of an objective.
        weights: layer -> weight.
    """

    def __init__(self, network: Vgg19, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.network = network
        self.weights = dict(weights)
        self.layers = tuple(weights)

    def check_preparation(self) -> None:
        """Check the weights file; see `Vgg19.check`."""
        self.network.check(self.layers)

    def prepare(self, samples: Sequence[Tensor]) -> None:
        """Load and normalize the network up to the deepest layer of this loss; see `Vgg19.load`."""
        self.network.load(self.layers, samples)

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        """Two images ``(B, 3, H, W)`` -> a scalar."""
        with torch.no_grad():
            of_target = self.network(target, self.layers)
        return self.compare(self.network(restored, self.layers), of_target)

    def compare(self, restored: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Features ``(B, C, h, w)`` of two images at each layer -> a scalar, computed in at least float32."""
        # Differences of nearly equal numbers lose most digits in half precision.
        with torch.autocast(next(iter(target.values())).device.type, enabled=False):
            distances = [
                weight * self.distance(_at_least_float(restored[layer]), _at_least_float(target[layer]))
                for layer, weight in self.weights.items()
            ]
            return torch.stack(distances).sum()

    def distance(self, restored: Tensor, target: Tensor) -> Tensor:
        """The distance of features ``(B, C, h, w)`` at one layer."""
        raise NotImplementedError


class PerceptualLoss(_VggLoss):
    """``sum_l w_l ||phi_l(restored) - phi_l(target)||^2``, Eq. 4 and 5: mean over all entries of a layer.

    Args:
        network: VGG-19, shared with other losses of an objective.
        weights: layer -> weight.
        absolute: take the absolute difference in place of the squared one.
    """

    def __init__(self, network: Vgg19, weights: Mapping[str, float], *, absolute: bool = False) -> None:
        super().__init__(network, weights)
        self.absolute = absolute

    def distance(self, restored: Tensor, target: Tensor) -> Tensor:
        """Two feature maps ``(B, C, h, w)`` -> a scalar."""
        return F.l1_loss(restored, target) if self.absolute else F.mse_loss(restored, target)


class TextureLoss(_VggLoss):
    """``sum_l w_l ||G(phi_l(restored)) - G(phi_l(target))||^2``, Eq. 6 and 7: mean over patches and entries.

    Args:
        network: VGG-19, shared with other losses of an objective.
        weights: layer -> weight.
        patch: side of the square patches, in positions of a feature map.
    """

    def __init__(self, network: Vgg19, weights: Mapping[str, float], patch: int = 16) -> None:
        super().__init__(network, weights)
        self.patch = patch

    def distance(self, restored: Tensor, target: Tensor) -> Tensor:
        """Two feature maps ``(B, C, h, w)`` -> a scalar."""
        return F.mse_loss(gram_matrices(restored, self.patch), gram_matrices(target, self.patch))


def gram_matrices(features: Tensor, patch: int) -> Tensor:
    """Return ``F F^T`` of each patch of `features`, scaled to the magnitude of patches of 16x16 positions.

    A Gram matrix grows with the number of positions that it sums over, and the loss with its square. The
    published weights are for windows of 16x16: for other sizes the matrices are multiplied by
    256 / positions, so that the weights keep their meaning.

    Args:
        features: ``(B, C, h, w)``.
        patch: side of the windows, which do not overlap. The remainder at the right and bottom is dropped; a
            window larger than the map is the map.

    Returns:
        ``(B * patches, C, C)``.

        >>> gram_matrices(torch.ones(1, 2, 16, 16), patch=16)
        tensor([[[256., 256.],
                 [256., 256.]]])
    """
    batch, channels, height, width = features.shape
    high, wide = min(patch, height), min(patch, width)
    rows, columns = height // high, width // wide
    x = features[..., : rows * high, : columns * wide].permute(0, 2, 3, 1)  # (B, h, w, C)
    x = x.reshape(batch, rows, high, columns, wide, channels).transpose(2, 3)
    x = x.reshape(batch * rows * columns, high * wide, channels)
    return x.transpose(1, 2) @ x * (_PATCH_AREA / (high * wide))


def build_perceptual(options: PerceptualOptions) -> nn.Module:
    """Build the perceptual loss; its network has no weights until `prepare`."""
    name = str if options.relu else before_relu
    weights = {name(layer): weight for layer, weight in options.layers.items()}
    network = Vgg19(options.vgg, normalize=options.normalize)
    loss = PerceptualLoss(network, weights, absolute=options.distance == "l1")
    return SharpenedTarget(loss) if options.sharpen else loss


def build_texture(options: TextureOptions) -> nn.Module:
    """Build the texture loss; its network has no weights until `prepare`."""
    return TextureLoss(Vgg19(options.vgg), options.layers, options.patch)


def _at_least_float(features: Tensor) -> Tensor:
    return features if features.dtype == torch.float64 else features.float()
