"""Tables 3 and 4 of the paper.

The columns `Bicubic` and `ENet-PAT` are checked: what MATLAB's bicubic and the authors' released weights give
agrees with them. The other values were written down from memory of the paper and not compared with it since:
some may be wrong, and each table says so where it is printed.
"""

from __future__ import annotations

from restore.interfaces import Method, PublishedTable

__all__ = ["tables"]

_PROTOCOL = (
    "PSNR in dB on luma, 4x; inputs: Pillow's Lanczos for the authors' rows, MATLAB's bicubic for the others"
)


def _method(title: str, weights: str) -> Method:
    return Method(title, f"enhancenet:{weights}", degradation="lanczos")


_BICUBIC = Method("Bicubic", "bicubic")
_E = _method("ENet-E", "e")
_TABLE_3 = {
    "Set5": (28.42, 31.74, 28.28, 28.15, 27.20, 29.26, 28.56),
    "Set14": (26.00, 28.42, 25.64, 25.94, 24.93, 26.53, 25.77),
    "BSD100": (25.96, 27.50, 24.73, 25.71, 24.19, 25.97, 24.93),
    "Urban100": (23.14, 25.66, 23.75, 23.56, 22.51, 24.16, 23.54),
}
_TABLE_4 = {
    "Set5": (30.14, 30.28, 30.31, 30.48, 30.62, 30.90, 31.53, 31.35, 31.74),
    "Set14": (27.24, 27.32, 27.40, 27.49, 27.57, 27.73, 28.02, 28.01, 28.42),
    "BSD100": (26.75, 26.82, 26.84, 26.90, 26.98, None, 27.23, 27.29, 27.50),
    "Urban100": (24.19, 24.32, 24.79, 24.52, 24.62, None, 25.14, 25.18, 25.66),
}


def tables(reference: str) -> list[PublishedTable]:
    """Both tables, with `paper` as their reference."""
    return [
        PublishedTable(
            "enhancenet.table3",
            "PSNR of EnhanceNet's six objectives at 4x",
            columns=(
                _BICUBIC,
                _E,
                _method("ENet-P", "p"),
                _method("ENet-EA", "ea"),
                _method("ENet-PA", "pa"),
                _method("ENet-EAT", "eat"),
                _method("ENet-PAT", "pat"),
            ),
            rows=_TABLE_3,
            metric="psnr",
            scale=4,
            protocol=_PROTOCOL,
            reference=f"{reference}, table 3, of which only Bicubic and ENet-PAT are verified",
        ),
        PublishedTable(
            "enhancenet.table4",
            "PSNR of EnhanceNet and of other methods at 4x",
            columns=(
                Method("RFL"),
                Method("A+"),
                Method("SelfEx"),
                Method("SRCNN", "srcnn"),
                Method("PSyCo"),
                Method("ESPCN"),
                Method("DRCN"),
                Method("VDSR"),
                _E,
            ),
            rows=_TABLE_4,
            metric="psnr",
            scale=4,
            protocol=_PROTOCOL,
            reference=f"{reference}, table 4, not verified",
        ),
    ]
