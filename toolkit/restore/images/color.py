"""Colours of any matrix profile to sRGB and back, in floating point.

A model knows sRGB. What it changes there is brought back to the colours of the profile, which so may lie
outside of what sRGB can hold, as the reds of Display P3 do. Only profiles of curves and a matrix are known,
as those of cameras, displays and working spaces are; profiles of tables, as those of printers, are not.

Source: ICC.1:2022 sections 8.3 (monochrome and matrix profiles), 10.6 (curves), 10.18 (parametric curves);
IEC 61966-2-1 for sRGB.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Conversion", "conversion_of", "gray_profile", "matrix_profile"]

_NODES = 4096
_SRGB_COLORANTS = np.array(  # columns: red, green and blue in XYZ, adapted to D50
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_PARAMETERS = {0: "g", 1: "gab", 2: "gabc", 3: "gabcd", 4: "gabcdef"}
_INVISIBLE = 4e-3
"""One 8-bit level: profiles that differ by less from sRGB are sRGB."""


@dataclass(frozen=True, eq=False)
class Conversion:
    """From a profile's colours to sRGB, and of changes there back."""

    curves: Tensor
    """``(3, nodes)`` float64: the linear light of each channel's values from 0 to 1, increasing."""
    matrix: Tensor
    """``(3, 3)`` float64: linear light to that of sRGB."""

    @property
    def is_identity(self) -> bool:
        """Whether the profile is sRGB, for the eye."""
        steps = torch.linspace(0, 1, 9, dtype=torch.float64)
        grid = torch.cartesian_prod(steps, steps, steps).T[None, :, None]
        return bool((self.to_srgb(grid) - grid).abs().max() < _INVISIBLE)

    def to_srgb(self, color: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [0, 1] -> the same in sRGB, beyond [0, 1] where sRGB has no such colour."""
        linear = torch.stack([self._decoded(color[:, i].double(), i) for i in range(3)], 1)
        return _srgb_encoded(_mixed(self.matrix, linear)).to(color.dtype)

    def with_detail(self, color: Tensor, detail: Tensor) -> Tensor:
        """`color` changed by a difference of sRGB values; exactly itself where the difference is zero.

        The difference is rotated as it would be for grays, which cannot make it larger in a space that holds
        sRGB, and added where each channel's tone curve is that of sRGB. To convert the sum of both instead
        would magnify a model's smallest error: next to a saturated green, an Adobe RGB red of 0 moves by 16
        levels when its sRGB moves by one.

        Args:
            color: ``(B, 3, H, W)`` of this profile.
            detail: the same, in sRGB.

        Returns:
            Within [0, 1].
        """
        rotated = _mixed(torch.linalg.inv(self.matrix), detail.double())
        toned = torch.stack([_srgb_encoded(self._decoded(color[:, i].double(), i)) for i in range(3)], 1)
        before, after = (
            torch.stack([self._encoded(light[:, i], i) for i in range(3)], 1)
            for light in (_srgb_decoded(toned), _srgb_decoded(toned + rotated))
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


@lru_cache(maxsize=8)
def conversion_of(profile: bytes) -> Conversion | None:
    """The conversion of an RGB or gray profile; ``None`` if it has no curves and matrix, or is damaged."""
    try:
        tags = _tags(profile)
        if profile[20:24] != b"XYZ ":
            return None
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
    return Conversion(torch.from_numpy(joined), torch.from_numpy(matrix))


def matrix_profile(gamma: float, chromaticities: tuple[float, ...]) -> bytes:
    """An RGB profile of a gamma curve and chromaticities: white x, y, then red, green and blue, as in cHRM.

    Raises:
        ValueError: there are no such colours.
    """
    white, *primaries = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in _pairs(chromaticities))
    columns = np.stack(primaries, axis=1)
    try:
        columns = columns * np.linalg.solve(columns, white)
    except np.linalg.LinAlgError as error:
        raise ValueError("the primaries lie on a line") from error
    gains = np.diag((_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white))
    adapted = np.linalg.inv(_BRADFORD) @ gains @ _BRADFORD @ columns
    colorants = {name: _xyz_tag(adapted[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    curve = _gamma_tag(gamma)
    return _profile(b"RGB ", colorants | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def gray_profile(gamma: float) -> bytes:
    """A gray profile of a gamma curve."""
    return _profile(b"GRAY", {b"kTRC": _gamma_tag(gamma)})


def _pairs(values: tuple[float, ...]) -> list[tuple[float, float]]:
    pairs = list(zip(values[::2], values[1::2], strict=True))
    if len(pairs) != 4 or not all(0 <= x <= 1 and 0 < y <= 1 for x, y in pairs):
        raise ValueError(f"{values} are no chromaticities")
    return pairs


def _mixed(matrix: Tensor, color: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", matrix, color)


def _srgb_encoded(linear: Tensor) -> Tensor:
    """Odd around zero, so that negative light keeps its amount."""
    size = linear.abs()
    return torch.where(size <= 0.0031308, 12.92 * size, 1.055 * size ** (1 / 2.4) - 0.055).copysign(linear)


def _srgb_decoded(color: Tensor) -> Tensor:
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


def _xyz_tag(xyz: NDArray[np.float64] | tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(value) * 65536) for value in xyz))


def _gamma_tag(gamma: float) -> bytes:
    return b"para" + bytes(8) + struct.pack(">i", round(gamma * 65536))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A display profile, version 4."""
    text = "Made from the gamma and chromaticities of a PNG".encode("utf-16-be")
    words = b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text
    tags = {b"desc": words, b"cprt": words, b"wtpt": _xyz_tag(_D50), **tags}
    body, table, start = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x04400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz_tag(_D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
