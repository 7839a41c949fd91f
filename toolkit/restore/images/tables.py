"""Colors of profiles that consist of tables, converted to sRGB by LittleCMS.

Matrix profiles are left to `restore.images.color`: it is as fast, and it also has the way back, exactly, for
colors that sRGB cannot represent.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["tables_to_srgb"]

_PERCEPTUAL = 0


def tables_to_srgb(color: Tensor, profile: bytes) -> Tensor | None:
    """Convert the colors of any RGB or gray profile to sRGB, with its perceptual intent.

    Args:
        color: ``(B, 3, H, W)``, float in [0, 1].
        profile: as the bytes of its file.

    Returns:
        The same shape in float32, beyond [0, 1] where sRGB has no such color; `None` if the profile is
        damaged.
    """
    import imagecodecs

    space = {b"RGB ": "rgb", b"GRAY": "gray"}.get(profile[16:20])
    if space is None:
        return None
    values = color.float().cpu().permute(0, 2, 3, 1).numpy()
    height, width = values.shape[1:3]
    rows = np.ascontiguousarray(values[..., :1] if space == "gray" else values)
    try:
        converted = imagecodecs.cms_transform(
            rows.reshape(-1, width) if space == "gray" else rows.reshape(-1, width, 3),
            profile,
            _srgb(),
            colorspace=space,
            outcolorspace="rgb",
            outdtype="float32",
            intent=_PERCEPTUAL,
        )
    except (RuntimeError, ValueError):
        return None
    return torch.from_numpy(converted.reshape(-1, height, width, 3)).permute(0, 3, 1, 2).contiguous()


@lru_cache(maxsize=1)
def _srgb() -> bytes:
    import imagecodecs

    return bytes(imagecodecs.cms_profile("srgb"))
