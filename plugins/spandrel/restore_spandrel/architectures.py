"""The architectures of spandrel of which new networks can be trained. Imports neither torch nor spandrel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, create_model

from restore.interfaces import Options

__all__ = ["ARCHITECTURES", "Architecture"]


@dataclass(frozen=True)
class Architecture:
    """A class of networks in spandrel, and which of its arguments users set.

    Every argument that is listed can be recognized from the weights, so that the files load in spandrel as
    the network that was trained.
    """

    summary: str
    place: str
    """``MODULE:CLASS`` below ``spandrel.architectures``."""
    defaults: Mapping[str, Any]
    """Argument -> value, where users give no other."""
    scale: str | None = None
    """The argument that takes the scale; ``None`` if the network keeps the size."""
    scales: tuple[int, ...] = (1, 2, 3, 4)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that users do not set."""

    def options(self) -> type[Options]:
        """The schema of `defaults`: each of the type of its value."""
        owner = self.place.partition(":")[2]
        fields: dict[str, Any] = {
            name: (_kind(value), Field(value, description=f"argument of spandrel's {owner}"))
            for name, value in self.defaults.items()
        }
        schema: type[Options] = create_model(f"{owner}Options", __base__=Options, **fields)
        return schema


def _kind(value: Any) -> Any:
    return tuple[int, ...] if isinstance(value, tuple) else type(value)


_RGB = {"num_in_ch": 3, "num_out_ch": 3}
_SHUFFLED = {"upsampler": "pixelshuffledirect"}

ARCHITECTURES: Mapping[str, Architecture] = {
    "compact": Architecture(
        "Compact: convolutions with PReLU and a pixel shuffle",
        "Compact:Compact",
        {"num_feat": 64, "num_conv": 16},
        scale="upscale",
    ),
    "span": Architecture(
        "SPAN: convolutions with parameter-free attention",
        "SPAN:SPAN",
        {"feature_channels": 48, "norm": True},
        scale="upscale",
        fixed=_RGB,
    ),
    "esrgan": Architecture(
        "ESRGAN: residual blocks of dense blocks",
        "ESRGAN:ESRGAN",
        {"num_filters": 64, "num_blocks": 23},
        scale="scale",
        scales=(1, 2, 4, 8),
    ),
    "plksr": Architecture(
        "RealPLKSR: partial large kernels",
        "PLKSR:RealPLKSR",
        {"dim": 64, "n_blocks": 28, "kernel_size": 17, "split_ratio": 0.25, "use_ea": True},
        scale="upscaling_factor",
    ),
    "mosr": Architecture(
        "MoSR: gated convolutions",
        "MoSR:MoSR",
        {"n_block": 24, "dim": 64, "kernel_size": 7},
        scale="upscale",
    ),
    "safmn": Architecture(
        "SAFMN: spatially-adaptive feature modulation",
        "SAFMN:SAFMN",
        {"dim": 36, "n_blocks": 8, "ffn_scale": 2.0},
        scale="upscaling_factor",
    ),
    "rcan": Architecture(
        "RCAN: residual groups with channel attention",
        "RCAN:RCAN",
        {"n_resgroups": 10, "n_resblocks": 20, "n_feats": 64},
        scale="scale",
    ),
    "omnisr": Architecture(
        "OmniSR: spatial and channel attention",
        "OmniSR:OmniSR",
        {"num_feat": 64, "res_num": 5, "window_size": 8},
        scale="up_scale",
    ),
    "ditn": Architecture(
        "DITN: transformer blocks for deployment",
        "DITN:DITN",
        {"dim": 60, "ITL_blocks": 4, "SAL_blocks": 4, "UFONE_blocks": 1},
        scale="upscale",
    ),
    "swinir": Architecture(
        "SwinIR: attention in shifted windows; by default the light variant",
        "SwinIR:SwinIR",
        {
            "embed_dim": 60,
            "depths": (6, 6, 6, 6),
            "num_heads": (6, 6, 6, 6),
            "window_size": 8,
            "mlp_ratio": 2.0,
            "upsampler": "pixelshuffledirect",
        },
        scale="upscale",
        scales=(2, 3, 4),
    ),
    "hat": Architecture(
        "HAT: hybrid attention",
        "HAT:HAT",
        {
            "embed_dim": 96,
            "depths": (6, 6, 6, 6),
            "num_heads": (6, 6, 6, 6),
            "window_size": 16,
            "compress_ratio": 24,
            "squeeze_factor": 24,
            "mlp_ratio": 2.0,
        },
        scale="upscale",
        scales=(2, 3, 4),
    ),
    "dat": Architecture(
        "DAT: dual aggregation transformer; by default the light variant",
        "DAT:DAT",
        {
            "embed_dim": 60,
            "depth": (18,),
            "num_heads": (6,),
            "split_size": (8, 32),
            "expansion_factor": 2.0,
            "upsampler": "pixelshuffledirect",
        },
        scale="upscale",
        scales=(2, 3, 4),
    ),
    "atd": Architecture(
        "ATD: adaptive token dictionary; by default the light variant",
        "ATD:ATD",
        {
            "embed_dim": 48,
            "depths": (6, 6, 6, 6),
            "num_heads": (4, 4, 4, 4),
            "window_size": 16,
            "num_tokens": 64,
            "reducted_dim": 8,
            "convffn_kernel_size": 7,
            "mlp_ratio": 1.0,
            "upsampler": "pixelshuffledirect",
        },
        scale="upscale",
        scales=(2, 3, 4),
        fixed={"category_size": 128},
    ),
    "rgt": Architecture(
        "RGT: recursive generalization transformer",
        "RGT:RGT",
        {"embed_dim": 180, "depth": (6, 6, 6, 6, 6, 6), "num_heads": (6, 6, 6, 6, 6, 6), "mlp_ratio": 2.0},
        scale="upscale",
        scales=(2, 3, 4),
    ),
    "scunet": Architecture(
        "SCUNet: denoising by a U-Net of convolutions and attention",
        "SCUNet:SCUNet",
        {"dim": 64, "config": (4, 4, 4, 4, 4, 4, 4)},
        scales=(1,),
    ),
    "nafnet": Architecture(
        "NAFNet: restoration by a U-Net without nonlinear activations",
        "NAFNet:NAFNet",
        {"width": 32, "middle_blk_num": 12, "enc_blk_nums": (2, 2, 4, 8), "dec_blk_nums": (2, 2, 2, 2)},
        scales=(1,),
    ),
}
"""Name after ``spandrel.`` -> what is built."""
