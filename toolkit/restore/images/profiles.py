"""The color profile of an image: embedded, or made of what else its file says about colors.

Source: PNG (third edition), sections 11.3.2.1 to 11.3.2.6; ITU-T H.273, tables 2 and 3, for the code points
that PNG, AVIF and HEIF use; ISO/IEC 14496-12, section 12.1.5, for their box in the latter two.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import torch

from restore.images.color import srgb_decoded
from restore.images.headers import png_chunks

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["color_notes", "fits_pixels", "gray_profile", "matrix_profile", "note_code_points", "profile_of"]

_SRGB_GAMMA = 0.45455
_SRGB_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_PRIMARIES = {
    1: _SRGB_CHROMATICITIES,
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),  # PAL
    6: (0.3127, 0.3290, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),  # NTSC
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI-P3
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_AS_SRGB = frozenset({1, 6, 13, 14, 15})
"""Transfer functions of sRGB, and of video, which browsers show like those of sRGB."""
_HDR = {16: "PQ", 18: "HLG"}
_NODES = 257  # of the curve of sRGB in a profile
_KEY = "restore:code points"  # in the info of an image
_HEAD = 2**18  # bytes of an AVIF or HEIF file that hold its properties


class CodePoints(NamedTuple):
    """What a file says about colors by numbers of ITU-T H.273."""

    primaries: int
    transfer: int

    @property
    def notes(self) -> tuple[str, ...]:
        """The note on a high dynamic range, which is read like a usual one."""
        name = _HDR.get(self.transfer)
        return (f"its high dynamic range ({name}) is not converted: colors look pale",) if name else ()

    @property
    def profile(self) -> bytes | None:
        """An RGB profile of the same colors; none for sRGB and for what has no profile."""
        chromaticities, gamma = _PRIMARIES.get(self.primaries), _GAMMAS.get(self.transfer)
        is_srgb = chromaticities == _SRGB_CHROMATICITIES and gamma is None
        if chromaticities is None or is_srgb or not (gamma or self.transfer in _AS_SRGB):
            return None
        return matrix_profile(gamma, chromaticities)


def note_code_points(image: Image.Image, file: IO[bytes]) -> None:
    """Keep the code points of a file, which Pillow does not read, in the ``info`` of its image."""
    place = file.tell()
    found = None
    if image.format == "PNG":
        found = _in_png(file)
    elif image.format in ("AVIF", "HEIF"):
        file.seek(0)
        head = file.read(_HEAD)
        start = head.find(b"colrnclx") + 8
        found = CodePoints(*struct.unpack_from(">2H", head, start)) if 8 <= start <= len(head) - 4 else None
    file.seek(place)
    if found:
        image.info[_KEY] = found


def _in_png(file: IO[bytes]) -> CodePoints | None:
    for name, content in png_chunks(file):
        if name == b"IDAT":
            break
        if name == b"cICP" and len(content) == 4:
            return CodePoints(*content[:2])
    return None


def profile_of(info: dict[Any, Any], *, mode: str, png: bool, gray: bool) -> bytes | None:
    """The embedded profile, unless the pixels were converted from its color space or never in it.

    Where a file has code points, or a PNG gamma and chromaticities, in place of a profile, one that says the
    same is made of them. In PNG, code points take precedence over a profile.
    """
    profile, points = info.get("icc_profile"), info.get(_KEY)
    if points and (png or profile is None):
        profile = points.profile
    elif profile is None and png and "srgb" not in info:
        profile = _described_profile(info, gray)
    return profile if mode not in {"CMYK", "LAB"} and fits_pixels(profile, gray=gray) else None


def _described_profile(info: dict[Any, Any], gray: bool) -> bytes | None:
    """That of a PNG's gAMA and cHRM; none for those of sRGB."""
    gamma = info.get("gamma", _SRGB_GAMMA)
    white_and_primaries = tuple(info.get("chromaticity", _SRGB_CHROMATICITIES))
    if not 0.01 < gamma < 10:
        return None
    usual_gamma = abs(gamma - _SRGB_GAMMA) < 1e-3
    if gray:
        return None if usual_gamma else gray_profile(1 / gamma)
    pairs = zip(white_and_primaries, _SRGB_CHROMATICITIES, strict=False)
    if usual_gamma and all(abs(value - usual) < 1e-3 for value, usual in pairs):
        return None
    try:
        return matrix_profile(1 / gamma, white_and_primaries)
    except ValueError:
        return None


def color_notes(info: dict[Any, Any]) -> tuple[str, ...]:
    """Notes on colors that no profile describes."""
    points: CodePoints | None = info.get(_KEY)
    return points.notes if points else ()


def fits_pixels(profile: Any, *, gray: bool) -> bool:
    """Whether a profile is one of gray or RGB."""
    # Of a damaged file the type may be any.
    return isinstance(profile, bytes) and profile[16:20] == (b"GRAY" if gray else b"RGB ")


def matrix_profile(gamma: float | None, chromaticities: tuple[float, ...]) -> bytes:
    """An RGB profile of a tone curve and chromaticities: white x, y, then red, green and blue, as in cHRM.

    Args:
        gamma: exponent of the curve; `None` is the curve of sRGB.
        chromaticities: eight numbers.

    Raises:
        ValueError: there are no such colors.
    """
    import imagecodecs

    if len(chromaticities) != 8:
        raise ValueError(f"{chromaticities} are not eight chromaticities")
    white, primaries = chromaticities[:2], chromaticities[2:]
    curve: dict[str, Any] = {"gamma": gamma}
    if gamma is None:
        curve = {"transferfunction": srgb_decoded(torch.linspace(0, 1, _NODES)).numpy()}
    try:
        return _undated(imagecodecs.cms_profile("rgb", whitepoint=white, primaries=primaries, **curve))
    except imagecodecs.CmsError as error:
        raise ValueError(f"{chromaticities} are not the chromaticities of a color space") from error


def gray_profile(gamma: float) -> bytes:
    """A gray profile of a gamma curve."""
    import imagecodecs

    return _undated(imagecodecs.cms_profile("gray", gamma=gamma))


def _undated(profile: bytes) -> bytes:
    """The profile with a fixed date of creation, so that equal images become equal files."""
    return profile[:24] + struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + profile[36:]
