"""VGG-19 with features of mean one, the feature network of the perceptual and the texture loss."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from restore.errors import UsageError
from restore.files import atomic_file, cache_folder
from restore_enhancenet.options import LAYERS
from restore_enhancenet.vgg_weights import (
    CONVOLUTIONS,
    Convolutions,
    channels,
    load_convolutions,
    note_on,
    weights_file,
)

__all__ = ["Vgg19", "before_relu"]

_BEFORE = "_before_relu"

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_BATCH = 8  # samples measured at a time
_INACTIVE = 0.01  # fraction of the mean of a layer; filters below conv3_4 are far above it on photographs


def before_relu(layer: str) -> str:
    """The name of a convolution's features before its ReLU; that of a pooling layer, which has none."""
    return f"{layer}{_BEFORE}" if layer in CONVOLUTIONS else layer


class Vgg19(nn.Module):
    """The convolutional part of VGG-19 (Simonyan and Zisserman, ICLR 2015), frozen.

    Unless `normalize` is false, its filters are rescaled once, from the first layer on, so that the
    activation of each of them after the ReLU has a mean of 1 over images and positions (Gatys, Ecker, Bethge,
    CVPR 2016). Because ReLU and pooling are positively homogeneous, this only scales the features of the
    network.

    Empty until `load`: building it reads and downloads nothing. The measured means are persistent buffers,
    the filters are not.

    Args:
        file: local weights; ``None``: see `load_convolutions`.
        normalize: rescale the filters.
    """

    def __init__(self, file: Path | None = None, *, normalize: bool = True) -> None:
        super().__init__()
        self.key = ("vgg19", file, normalize)
        self.file = file
        self.normalize = normalize
        self.depth = 0
        self.notes: tuple[str, ...] = ()
        """What to know about the weights that are loaded; see `restore.interfaces.Noted`."""
        self.register_buffer("shift", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        for layer in CONVOLUTIONS:
            self.register_buffer(f"{layer}_mean", torch.full((channels(layer),), torch.nan))

    def check(self, layers: Collection[str]) -> None:
        """Check that a local file has the filters up to the deepest of `layers`; nothing is downloaded.

        Raises:
            WeightsError: it is missing or damaged, or ends before that layer.
        """
        if (file := weights_file(self.file)) is not None:
            load_convolutions(file, _convolutions(layers))

    def load(self, layers: Collection[str], samples: Sequence[Tensor]) -> None:
        """Load the filters up to the deepest of `layers` and normalize them.

        Args:
            layers: some of `LAYERS`, or `before_relu` of them.
            samples: images ``(3, H, W)`` in [0, 1] over which the means are computed, unless they are in the
                checkpoint or in the user's cache.

        Raises:
            WeightsError: the weights cannot be downloaded or read, or end before the deepest layer.
        """
        depth = _depth(layers)
        if depth <= self.depth:
            return
        names = _convolutions(layers)
        filters = load_convolutions(self.file, names)
        note = note_on(self.file)
        self.notes = (note,) if note else ()
        if self.normalize and any(self._mean_of(layer).isnan().any() for layer in names):
            for layer, mean in _cached_means(filters, samples).items():
                self._mean_of(layer).copy_(mean)
        before = torch.ones(3)
        for layer, (weight, bias) in filters.items():
            after = self._mean_of(layer).cpu() if self.normalize else torch.ones_like(bias)
            scaled = weight * before.view(1, -1, 1, 1) / after.view(-1, 1, 1, 1)
            self._keep(f"{layer}_weight", scaled.contiguous(memory_format=torch.channels_last))
            self._keep(f"{layer}_bias", bias / after)
            before = after
        self.depth = depth

    def forward(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Features of images.

        Args:
            images: ``(B, 3, H, W)`` in [0, 1].
            layers: some of `LAYERS`, or `before_relu` of them.

        Returns:
            Layer -> its features ``(B, C, h, w)``.

        Raises:
            UsageError: the images are too small for the poolings before these layers.
            RuntimeError: these layers were not loaded.
        """
        depth = _depth(layers)
        if depth > self.depth:
            raise RuntimeError(
                f"VGG-19 is not loaded up to {', '.join(sorted(layers))}: prepare the loss first"
            )
        pools = sum(layer.startswith("pool") for layer in LAYERS[:depth])
        if min(images.shape[-2:]) < 2**pools:
            raise UsageError(
                f"images of {images.shape[-1]}x{images.shape[-2]} pixels are too small for VGG-19's "
                f"{LAYERS[depth - 1]}, which needs {2**pools}",
                hint="use a larger `patch_size`",
            )
        filters = {layer: self._filter(layer) for layer in LAYERS[:depth] if layer in CONVOLUTIONS}
        normalized = (images - self.get_buffer("shift")) / self.get_buffer("spread")
        return {layer: x for layer, x in _activations(normalized, filters, depth) if layer in layers}

    def _filter(self, layer: str) -> tuple[Tensor, Tensor]:
        return self.get_buffer(f"{layer}_weight"), self.get_buffer(f"{layer}_bias")

    def _mean_of(self, layer: str) -> Tensor:
        return self.get_buffer(f"{layer}_mean")

    def _keep(self, name: str, tensor: Tensor) -> None:
        self.register_buffer(name, tensor.to(self.get_buffer("shift")), persistent=False)


def _depth(layers: Collection[str]) -> int:
    """Number of layers up to the deepest of `layers`."""
    return max(LAYERS.index(layer.removesuffix(_BEFORE)) + 1 for layer in layers)


def _convolutions(layers: Collection[str]) -> list[str]:
    return [layer for layer in LAYERS[: _depth(layers)] if layer in CONVOLUTIONS]


def _cached_means(filters: Convolutions, samples: Sequence[Tensor]) -> dict[str, Tensor]:
    """`_measured_means`, from the user's cache if the same images were measured before."""
    images = [samples[index] for index in range(len(samples))]
    digest = hashlib.sha256()
    for tensor in (*(part for pair in filters.values() for part in pair), *images):
        digest.update(tensor.contiguous().numpy().tobytes())
    file = cache_folder() / "vgg19-means" / f"{digest.hexdigest()}.safetensors"
    with suppress(OSError, SafetensorError):
        return load_file(file)
    means = _measured_means(filters, images)
    with suppress(OSError, SafetensorError), atomic_file(file) as temporary:  # an optimization that may fail
        save_file(means, temporary)
    return means


@torch.no_grad()
def _measured_means(filters: Convolutions, images: Sequence[Tensor]) -> dict[str, Tensor]:
    """Layer -> mean activation ``(C,)`` of each filter after the ReLU.

    Inactive filters get the mean of their layer: the few positions where they respond would otherwise
    outweigh everything else.
    """
    sums = {layer: torch.zeros(len(bias), dtype=torch.float64) for layer, (_, bias) in filters.items()}
    counts = dict.fromkeys(filters, 0)
    depth = LAYERS.index(list(filters)[-1]) + 1
    shift, spread = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    for start in range(0, len(images), _BATCH):
        normalized = (torch.stack(list(images[start : start + _BATCH])) - shift) / spread
        for layer, x in _activations(normalized, filters, depth):
            if layer in filters:
                sums[layer] += x.double().sum((0, 2, 3))
                counts[layer] += x.numel() // x.shape[1]
    means = {layer: (sums[layer] / counts[layer]).float() for layer in filters}
    return {
        layer: torch.where(mean < _INACTIVE * mean.mean(), mean.mean(), mean) for layer, mean in means.items()
    }


def _activations(x: Tensor, filters: Convolutions, depth: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the features of the first `depth` layers, those of convolutions before and after the ReLU."""
    for layer in LAYERS[:depth]:
        if layer in filters:
            x = F.conv2d(x, *filters[layer], padding=1)
            yield before_relu(layer), x
            x = F.relu(x)
        else:
            x = F.max_pool2d(x, 2)
        yield layer, x
