"""Options of the entries of this plugin. Does not import torch, so that listing them is fast."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from restore.errors import nearest
from restore.interfaces import Options

__all__ = [
    "LAYERS",
    "DiscriminatorOptions",
    "GeneratorOptions",
    "LayerWeights",
    "PerceptualOptions",
    "TextureOptions",
]

LAYERS = tuple(
    layer
    for block, convolutions in enumerate((2, 2, 4, 4, 4), start=1)
    for layer in (*(f"conv{block}_{number}" for number in range(1, convolutions + 1)), f"pool{block}")
)
"""The layers of VGG-19 in order; the features of a convolution are those after the ReLU."""


def _split(given: Any) -> Any:
    """Read ``pool2:0.2,pool5:0.02`` as a table; return anything else as it is."""
    if not isinstance(given, str):
        return given
    table = {}
    for item in given.split(","):
        layer, colon, weight = item.partition(":")
        if not colon:
            raise ValueError("write LAYER:WEIGHT,LAYER:WEIGHT, such as pool2:0.2,pool5:0.02")
        table[layer.strip()] = weight
    return table


def _known(weights: dict[str, float]) -> dict[str, float]:
    if not weights:
        raise ValueError("name at least one layer, such as pool2:0.2")
    for layer, weight in weights.items():
        if layer not in LAYERS:
            raise ValueError(
                f"VGG-19 has no layer '{layer}'.{nearest(layer, LAYERS)} It has {', '.join(LAYERS)}"
            )
        if not 0 <= weight < math.inf:
            raise ValueError(f"the weight of '{layer}' has to be a number from 0")
    return weights


LayerWeights = Annotated[dict[str, float], BeforeValidator(_split), AfterValidator(_known)]
"""Layer of VGG-19 -> weight: a table, or text such as ``pool2:0.2,pool5:0.02``."""


class GeneratorOptions(Options):
    """Size of the generator; the defaults are Table 1 of the paper."""

    width: int = Field(64, ge=1, description="feature maps of each hidden layer")
    blocks: int = Field(10, ge=0, description="number of residual blocks")


class _VggOptions(Options):
    """Options of a loss on features of VGG-19."""

    vgg: Path | None = Field(
        None,
        description="VGG-19's ImageNet weights, .safetensors or .pth with torchvision's names; default: the "
        "file in RESTORE_VGG19, else torchvision's weights, downloaded on first use",
    )


class PerceptualOptions(_VggOptions):
    """Options of the perceptual loss; the defaults are the paper's."""

    layers: LayerWeights = Field(
        {"pool2": 2e-1, "pool5": 2e-2}, description="layers of VGG-19 with their weights"
    )
    relu: bool = Field(
        True, description="compare convolutions after their ReLU; false: before it, as ESRGAN does"
    )
    normalize: bool = Field(True, description="scale each filter to a mean of one over the training images")
    distance: Literal["mse", "l1"] = Field("mse", description="mean squared or mean absolute difference")
    sharpen: bool = Field(False, description="compare with the sharpened target, as Real-ESRGAN does")


class TextureOptions(_VggOptions):
    """Options of the texture loss; the defaults are the paper's."""

    layers: LayerWeights = Field(
        {"conv1_1": 3e-7, "conv2_1": 1e-6, "conv3_1": 1e-6},
        description="layers of VGG-19 with their weights",
    )
    patch: int = Field(16, ge=1, description="side of the patches, in positions of a layer's feature map")


class DiscriminatorOptions(Options):
    """Size of the discriminator; the defaults are Table 1 of the supplement."""

    width: int = Field(32, ge=1, description="filters of the first two convolutions; doubled four times")
    hidden: int = Field(1024, ge=1, description="units of the fully connected layer")
    slope: float = Field(0.2, ge=0, lt=1, description="negative slope of the leaky ReLU; not published")
