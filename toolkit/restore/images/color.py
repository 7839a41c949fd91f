"""Colors of any ICC profile to sRGB and back, in floating point.

Models work in sRGB. What they change there is carried over to the color space of the profile, which may hold
colors that sRGB cannot represent, such as the reds of Display P3.

Profiles of curves and a matrix (cameras, displays, working spaces) are evaluated here; those of lookup
tables (printers, scanners), by LittleCMS. For matrix profiles LittleCMS takes about as long: 0.15 s per
megapixel, against 0.18 s here (float32, one thread). They stay here because their curves and matrix are
needed anyway, to carry changes back exactly, and so that both directions agree.

Source: ICC.1:2022 sections 8.3 (monochrome and matrix profiles), 8.10 (precedence of tags), 10.6 (curves),
10.18 (parametric curves); IEC 61966-2-1 for sRGB.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from restore.levels import to_levels, to_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Conversion", "conversion_of", "srgb_decoded"]

_NODES = 4096
_SRGB_COLORANTS = np.array(  # columns: red, green and blue in XYZ, adapted to D50
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_PARAMETERS = {0: "g", 1: "gab", 2: "gabc", 3: "gabcd", 4: "gabcdef"}
_INVISIBLE = 4e-3
"""One 8-bit level: a profile that differs by less from sRGB is treated as sRGB."""

_TABLES = (b"A2B0", b"A2B1", b"A2B2", b"D2B0")
_PERCEPTUAL = 0
_STEP = 1 / 64
"""Of the differences that approximate the slope of a table: about half of the usual distance of its nodes."""

_DAMPING = 0.01
"""Limits a change to five times its size in sRGB, at the cost of 1 % where the profile is like sRGB."""


class Conversion(ABC):
    """The conversion from the color space of a profile to sRGB, and of differences back to it."""

    @property
    def is_identity(self) -> bool:
        """Whether the profile is visually indistinguishable from sRGB."""
        steps = torch.linspace(0, 1, 9, dtype=torch.float64)
        grid = torch.cartesian_prod(steps, steps, steps).T[None, :, None]
        return bool((self.to_srgb(grid) - grid).abs().max() < _INVISIBLE)

    @abstractmethod
    def to_srgb(self, color: Tensor) -> Tensor:
        """Convert ``(B, 3, H, W)`` in [0, 1] to sRGB, beyond [0, 1] where sRGB has no such color."""

    def levels_to_srgb(self, levels: Tensor) -> Tensor:
        """Convert ``(B, 3, H, W)`` uint8 levels to those of sRGB."""
        return to_levels(self.to_srgb(to_values(levels)).clamp(0, 1))

    @abstractmethod
    def with_detail(self, color: Tensor, detail: Tensor) -> Tensor:
        """Change `color` by a difference of sRGB values; it is returned unchanged where that is zero.

        Args:
            color: ``(B, 3, H, W)`` in the color space of the profile.
            detail: the same shape, in sRGB.

        Returns:
            Within [0, 1].
        """


@dataclass(frozen=True, eq=False)
class _MatrixConversion(Conversion):
    curves: Tensor
    """``(3, nodes)`` float64: the linear light of each channel's values from 0 to 1, increasing."""
    matrix: Tensor
    """``(3, 3)`` float64: linear light to that of sRGB."""

    def to_srgb(self, color: Tensor) -> Tensor:
        linear = torch.stack([self._decoded(color[:, i].double(), i) for i in range(3)], 1)
        return _srgb_encoded(_mixed(self.matrix, linear)).to(color.dtype)

    def with_detail(self, color: Tensor, detail: Tensor) -> Tensor:
        # The difference is rotated as it would be for grays, which cannot make it larger in a space that
        # contains sRGB, and added where each channel's tone curve is that of sRGB. To convert the sum of both
        # instead would magnify the smallest error of a model: next to a saturated green, an Adobe RGB red of
        # 0 moves by 16 levels when its sRGB moves by one.
        rotated = _mixed(torch.linalg.inv(self.matrix), detail.double())
        toned = torch.stack([_srgb_encoded(self._decoded(color[:, i].double(), i)) for i in range(3)], 1)
        before, after = (
            torch.stack([self._encoded(light[:, i], i) for i in range(3)], 1)
            for light in (srgb_decoded(toned), srgb_decoded(toned + rotated))
        )
        return (color + (after - before)).clamp(0, 1).to(color.dtype)

    def _decoded(self, values: Tensor, channel: int) -> Tensor:
        curve = self.curves[channel]
        place = values.clamp(0, 1) * (len(curve) - 1)
        below = place.long().clamp_(max=len(curve) - 2)
        return torch.lerp(curve[below], curve[below + 1], place - below)

    def _encoded(self, linear: Tensor, channel: int) -> Tensor:
        curve = self.curves[channel]
        above = torch.searchsorted(curve, linear.contiguous()).clamp_(1, len(curve) - 1)
        low, high = curve[above - 1], curve[above]
        share = ((linear - low) / (high - low).clamp(min=1e-300)).clamp_(0, 1)
        return (above - 1 + share) / (len(curve) - 1)


@dataclass(frozen=True, eq=False)
class _TableConversion(Conversion):
    profile: bytes
    is_gray: bool

    def to_srgb(self, color: Tensor) -> Tensor:
        batch, channels, height, width = color.shape
        values = color.detach().cpu().float().permute(0, 2, 3, 1)
        # Each channel of gray is converted for itself, and takes the green of what is gray again.
        shape = (-1, channels * width) if self.is_gray else (-1, width, 3)
        found = self._transformed(values.reshape(shape))
        srgb = torch.from_numpy(np.ascontiguousarray(found[..., 1] if self.is_gray else found))
        srgb = srgb.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
        # Below zero, LittleCMS goes on along the line; the matrix profiles mirror the curve.
        srgb = torch.where(srgb < 0, _srgb_encoded(srgb / 12.92), srgb)
        return srgb.to(color)

    def levels_to_srgb(self, levels: Tensor) -> Tensor:
        if self.is_gray:
            return super().levels_to_srgb(levels)
        # In 8 bits LittleCMS interpolates in a coarser table of its own. So do all programs that use it as it
        # comes, Pillow among them, and a file that has lost its profile should look as it does there.
        found = [self._transformed(image.permute(1, 2, 0)) for image in levels.cpu()]
        return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)

    def _transformed(self, values: Tensor) -> NDArray[Any]:
        """``(H, W, 3)``, or ``(H, W)`` if it is gray, in sRGB: ``(H, W, 3)`` of the same type."""
        import imagecodecs

        found: NDArray[Any] = imagecodecs.cms_transform(
            np.ascontiguousarray(values.numpy()),
            self.profile,
            _srgb_profile(),
            colorspace="gray" if self.is_gray else "rgb",
            outcolorspace="rgb",
            outdtype="uint8" if values.dtype == torch.uint8 else "float32",
            intent=_PERCEPTUAL,
        )
        return found

    def with_detail(self, color: Tensor, detail: Tensor) -> Tensor:
        # One damped Gauss-Newton step. Not all tables have an inverse in their profile (scanners have none),
        # and those that have one are as coarse as it is.
        base = color.double().clamp(0, 1)  # a bicubic enlargement overshoots, where a table has no slope
        step = torch.where(base < 0.5, _STEP, -_STEP)
        here = self.to_srgb(base)
        columns = []
        for channel in range(3):
            moved = base.clone()
            moved[:, channel] += step[:, channel]
            columns.append((self.to_srgb(moved) - here) / step[:, channel : channel + 1])
        slope = torch.stack(columns, -1).permute(0, 2, 3, 1, 4)  # (B, H, W, sRGB, profile)
        normal = slope.mT @ slope + _DAMPING * torch.eye(3, dtype=slope.dtype, device=slope.device)
        wanted = slope.mT @ detail.to(slope).permute(0, 2, 3, 1).unsqueeze(-1)
        change: Tensor = torch.linalg.solve(normal, wanted).squeeze(-1).permute(0, 3, 1, 2)
        return (color + change).clamp(0, 1).to(color.dtype)


@lru_cache(maxsize=8)
def conversion_of(profile: bytes) -> Conversion | None:
    """The conversion of an RGB or gray profile, by its perceptual intent; ``None`` if it is damaged."""
    if profile[16:20] not in (b"RGB ", b"GRAY"):
        return None
    try:
        tags = _tags(profile)
    except struct.error:
        return None
    by_tables = any(name in tags for name in _TABLES) or profile[20:24] != b"XYZ "
    return (_table_conversion(profile) if by_tables else None) or _matrix_conversion(profile, tags)


def _table_conversion(profile: bytes) -> Conversion | None:
    import imagecodecs

    conversion = _TableConversion(profile, is_gray=profile[16:20] == b"GRAY")
    try:
        sample = conversion.to_srgb(torch.linspace(0, 1, 5).expand(1, 3, 1, 5))
    except imagecodecs.CmsError:
        return None
    return conversion if sample.isfinite().all() else None


def _matrix_conversion(profile: bytes, tags: dict[bytes, bytes]) -> Conversion | None:
    if profile[20:24] != b"XYZ ":
        return None
    try:
        if profile[16:20] == b"GRAY":
            curves, matrix = [_curve(tags[b"kTRC"])] * 3, np.eye(3)
        else:
            curves = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
            colorants = np.stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
            matrix = np.linalg.inv(_SRGB_COLORANTS) @ colorants
            matrix = matrix / matrix.sum(1, keepdims=True)  # gray stays gray, whatever the rounding
    except (KeyError, ValueError, struct.error, np.linalg.LinAlgError):
        return None
    joined = np.stack(curves)
    sound = np.isfinite(joined).all() and np.isfinite(matrix).all() and np.linalg.cond(matrix) < 1e3
    if not (sound and (np.diff(joined) >= 0).all() and (joined[:, -1] > 0.5).all()):
        return None
    return _MatrixConversion(torch.from_numpy(joined), torch.from_numpy(matrix))


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    import imagecodecs

    return bytes(imagecodecs.cms_profile("srgb"))


def _mixed(matrix: Tensor, color: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", matrix, color)


def _srgb_encoded(linear: Tensor) -> Tensor:
    """Odd around zero, so that negative light keeps its amount."""
    size = linear.abs()
    return torch.where(size <= 0.0031308, 12.92 * size, 1.055 * size ** (1 / 2.4) - 0.055).copysign(linear)


def srgb_decoded(color: Tensor) -> Tensor:
    """The linear light of values of sRGB, odd around zero.

    >>> srgb_decoded(torch.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.2140, 1.0000])
    """
    size = color.abs()
    return torch.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4).copysign(color)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    found = {}
    for index in range(min(count, 100)):
        name, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        found[name] = profile[offset : offset + size]
    return found


def _xyz(tag: bytes) -> NDArray[np.float64]:
    return np.array(struct.unpack_from(">3i", tag, 8), np.float64) / 65536


def _curve(tag: bytes) -> NDArray[np.float64]:
    """A tone curve at the nodes."""
    x = np.linspace(0, 1, _NODES)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x
        table = np.frombuffer(tag, ">u2", count, 12)
        return x ** (table[0] / 256) if count == 1 else np.interp(x, np.linspace(0, 1, count), table / 65535)
    if tag[:4] != b"para":
        raise ValueError("no curve")
    (kind,) = struct.unpack_from(">H", tag, 8)
    names = _PARAMETERS[kind]
    given = dict(zip(names, np.array(struct.unpack_from(f">{len(names)}i", tag, 12)) / 65536, strict=True))
    g, a, b, c = given["g"], given.get("a", 1.0), given.get("b", 0.0), given.get("c", 0.0)
    # The five kinds are one: (ax + b)^g + e from x = d on, below that a line.
    if kind in (1, 2):
        slope, start, above, below = 0.0, -b / a, c, c
    else:
        slope, start, above, below = c, given.get("d", 0.0), given.get("e", 0.0), given.get("f", 0.0)
    power = np.clip(a * x + b, 0, None) ** g + above
    result: NDArray[np.float64] = np.clip(np.where(x >= start, power, slope * x + below), 0, 1)
    return result
