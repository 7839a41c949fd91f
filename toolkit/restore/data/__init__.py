"""Data sets: from folders of images to pairs of a degraded image and its target."""

from restore.data.augmentations import Augmentation, find_augmentations
from restore.data.degradations import Degradation, find_degradation, generator_of, labels, options_of
from restore.data.fingerprint import fingerprint, matches
from restore.data.folders import check_images, find_images, usable
from restore.data.loading import CountedSampler, batches
from restore.data.pairs import ImagePair, pair, pairs
from restore.data.patches import Patches, Targets
from restore.interfaces import Pair

__all__ = [
    "Augmentation",
    "CountedSampler",
    "Degradation",
    "ImagePair",
    "Pair",
    "Patches",
    "Targets",
    "batches",
    "check_images",
    "find_augmentations",
    "find_degradation",
    "find_images",
    "fingerprint",
    "generator_of",
    "labels",
    "matches",
    "options_of",
    "pair",
    "pairs",
    "usable",
]
