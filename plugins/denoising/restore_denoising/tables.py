"""The published values of FFDNet."""

from __future__ import annotations

from restore.interfaces import Method, PublishedTable

__all__ = ["tables"]

_COLOR = {15: 33.87, 25: 31.21, 35: 29.58, 50: 27.96, 75: 26.24}
"""Deviation of the noise in levels of 255 -> PSNR in dB."""


def tables(reference: str) -> list[PublishedTable]:
    """Color denoising on CBSD68, with `reference` as the paper."""
    return [
        PublishedTable(
            "ffdnet.cbsd68",
            "PSNR of FFDNet on color images with white Gaussian noise",
            columns=tuple(_method(sigma) for sigma in _COLOR),
            rows={"CBSD68": tuple(_COLOR.values())},
            metric="psnr",
            scale=1,
            protocol="PSNR in dB over RGB, whole image, the true deviation given to the network, noise that "
            "is not clipped; the measured inputs are clipped to the range of an image",
            reference=f"{reference}, color images; written down from memory and not verified",
            metric_options={"channels": "rgb"},
        )
    ]


def _method(sigma: int) -> Method:
    strength = {"sigma": sigma}
    return Method(f"FFDNet {sigma}", "ffdnet:noise", "noise", strength, strength)
