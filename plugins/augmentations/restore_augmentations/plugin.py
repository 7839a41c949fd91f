"""Entry point of the plugin: augmentations of training pairs."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import AugmentationSpec, lazy
from restore_augmentations.options import CutOptions, MixupOptions, TurnOptions

CONTRACT = 2

_YOO = "Yoo, Ahn, Sohn: Rethinking data augmentation for image super-resolution, CVPR 2020, arXiv 2004.00448"


@hookimpl
def restore_augmentations() -> list[AugmentationSpec]:
    """Of single pairs, then mixes of two."""
    return [
        AugmentationSpec(
            "turn",
            "Flips and rotations by 90 degrees",
            lazy("restore_augmentations.augmentations:build_turn"),
            TurnOptions,
        ),
        AugmentationSpec(
            "channel-shuffle",
            "The color channels in any order",
            lazy("restore_augmentations.augmentations:build_channel_shuffle"),
            reference=_YOO,
        ),
        AugmentationSpec(
            "cutblur",
            "The target's pixels in a part of the input: learn where to restore",
            lazy("restore_augmentations.augmentations:build_cutblur"),
            CutOptions,
            reference=_YOO,
        ),
        AugmentationSpec(
            "cutmix",
            "A rectangle of another pair",
            lazy("restore_augmentations.augmentations:build_cutmix"),
            CutOptions,
            needs_partner=True,
            reference="Yun et al.: CutMix, ICCV 2019",
        ),
        AugmentationSpec(
            "mixup",
            "The weighted mean of two pairs",
            lazy("restore_augmentations.augmentations:build_mixup"),
            MixupOptions,
            needs_partner=True,
            reference="Zhang et al.: mixup, ICLR 2018",
        ),
    ]
