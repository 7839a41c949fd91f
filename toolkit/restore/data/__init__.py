"""Data sets: from folders of images to pairs of a degraded image and its target."""

from restore.data.alignment import check_alignment
from restore.data.augmentations import Augmentation, find_augmentations
from restore.data.cache import ImageCache
from restore.data.conditions import conditions_of
from restore.data.degradations import CHAIN, Degradation, find_degradation, generator_of, labels, options_of
from restore.data.fingerprint import combined, cut_off_images, fingerprint, matches
from restore.data.folders import check_images, find_images, usable
from restore.data.loading import CountedSampler, batches
from restore.data.mixture import Mixture, Samples
from restore.data.pairs import ImagePair, find_pairs, pair, pairs
from restore.data.patches import DegradedFiles, Patches, Sample
from restore.data.targets import Targets
from restore.interfaces import Pair

__all__ = [
    "CHAIN",
    "Augmentation",
    "CountedSampler",
    "Degradation",
    "DegradedFiles",
    "ImageCache",
    "ImagePair",
    "Mixture",
    "Pair",
    "Patches",
    "Sample",
    "Samples",
    "Targets",
    "batches",
    "check_alignment",
    "check_images",
    "combined",
    "conditions_of",
    "cut_off_images",
    "find_augmentations",
    "find_degradation",
    "find_images",
    "find_pairs",
    "fingerprint",
    "generator_of",
    "labels",
    "matches",
    "options_of",
    "pair",
    "pairs",
    "usable",
]
