"""Data sets: from folders of images to pairs of a degraded image and its target."""

from restore.data.augmentations import Augmentation, find_augmentations
from restore.data.conditions import conditions_of
from restore.data.degradations import CHAIN, Degradation, find_degradation, generator_of, labels, options_of
from restore.data.fingerprint import cut_off_images, fingerprint, matches
from restore.data.folders import check_images, find_images, usable
from restore.data.loading import CountedSampler, batches
from restore.data.pairs import ImagePair, pair, pairs
from restore.data.patches import Patches, Sample, Targets
from restore.interfaces import Pair

__all__ = [
    "CHAIN",
    "Augmentation",
    "CountedSampler",
    "Degradation",
    "ImagePair",
    "Pair",
    "Patches",
    "Sample",
    "Targets",
    "batches",
    "check_images",
    "conditions_of",
    "cut_off_images",
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
