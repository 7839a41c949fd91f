"""Entry point of the plugin: degradations, elementary ones and recipes."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import DegradationSpec, Options, lazy
from restore_degradations.options import (
    BlurOptions,
    JpegOptions,
    NoiseOptions,
    PhotoOptions,
    QuantizeOptions,
    RealEsrganOptions,
    ResizeOptions,
    SharpenOptions,
    SincOptions,
    WebpOptions,
)

CONTRACT = 2


@hookimpl
def restore_degradations() -> list[DegradationSpec]:
    """Elements, which form chains such as ``blur+bicubic+noise+jpeg``, then whole recipes."""
    return [
        _element("blur", "Blur of a lens, of motion or of a program", BlurOptions, margin=True),
        _element(
            "resize", "Downscaling by any filter, or by way of another size", ResizeOptions, margin=True
        ),
        _element("noise", "Noise: normal, of photons, or of a camera", NoiseOptions),
        _element("jpeg", "JPEG compression by libjpeg", JpegOptions, margin=True),
        _element("webp", "Lossy WebP compression by libwebp", WebpOptions, margin=True),
        _element("sinc", "Ringing of a sharp low-pass filter", SincOptions, margin=True),
        _element("sharpen", "Unsharp mask", SharpenOptions, margin=True),
        _element("quantize", "Rounding to a number of levels", QuantizeOptions),
        _recipe("photo", "What phones and web sites do: blur, downscaling, noise, JPEG", PhotoOptions),
        _recipe(
            "bsrgan",
            "Shuffled blurs, downscaling, noise and JPEG",
            Options,
            "Zhang, Liang, Van Gool, Timofte: Designing a practical degradation model, ICCV 2021, "
            "arXiv 2103.14006",
        ),
        _recipe(
            "realesrgan",
            "Blur, resizing, noise and JPEG, twice, with ringing",
            RealEsrganOptions,
            "Wang, Xie, Dong, Shan: Real-ESRGAN, ICCV workshops 2021, arXiv 2107.10833",
        ),
    ]


def _element(name: str, summary: str, options: type[Options], *, margin: bool = False) -> DegradationSpec:
    no_margin = "restore_degradations.elements:no_margin"
    return DegradationSpec(
        name,
        summary,
        build=lazy(f"restore_degradations.elements:build_{name}"),
        protocol=lazy("restore_degradations.elements:protocol"),
        options=options,
        resizes=name == "resize",
        margin=lazy(f"restore_degradations.elements:margin_{name}" if margin else no_margin),
    )


def _recipe(name: str, summary: str, options: type[Options], reference: str = "") -> DegradationSpec:
    return DegradationSpec(
        name,
        summary,
        build=lazy(f"restore_degradations.{name}:build_{name}"),
        protocol=lazy("restore_degradations.elements:protocol"),
        options=options,
        reference=reference,
        margin=lazy(f"restore_degradations.{name}:margin_{name}"),
    )
