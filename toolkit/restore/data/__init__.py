"""Data sets: from folders of images to pairs of a degraded image and its target."""

from restore.data.fingerprint import fingerprint, matches
from restore.data.folders import check_images, find_images, usable
from restore.data.loading import CountedSampler, batches
from restore.data.pairs import ImagePair, pair, pairs
from restore.data.patches import Augmentation, Pair, Patches, Targets

__all__ = [
    "Augmentation",
    "CountedSampler",
    "ImagePair",
    "Pair",
    "Patches",
    "Targets",
    "batches",
    "check_images",
    "find_images",
    "fingerprint",
    "matches",
    "pair",
    "pairs",
    "usable",
]
