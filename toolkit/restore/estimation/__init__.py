"""Estimate the degradation of an image from its file and pixels alone.

Each measurement is a pure function with a short file of its own, and `estimate` combines them::

    photo = images.read(path)
    found = estimate(photo, path)
    found.jpeg.quality, found.noise.sigma, found.blur.sigma, found.enlarged.factor

Nothing here is random: the same picture always gives the same estimate. Large pictures are sampled, so that
the time hardly grows with their size.
"""

from restore.estimation.blur import blur_width
from restore.estimation.combined import estimate
from restore.estimation.enlargement import enlargement_factor
from restore.estimation.jpeg_pixels import jpeg_from_pixels
from restore.estimation.jpeg_tables import jpeg_from_file, nearest_quality, standard_table
from restore.estimation.noise import noise_level
from restore.estimation.results import (
    BlurEstimate,
    EnlargementEstimate,
    Estimate,
    JpegEstimate,
    NoiseEstimate,
)

__all__ = [
    "BlurEstimate",
    "EnlargementEstimate",
    "Estimate",
    "JpegEstimate",
    "NoiseEstimate",
    "blur_width",
    "enlargement_factor",
    "estimate",
    "jpeg_from_file",
    "jpeg_from_pixels",
    "nearest_quality",
    "noise_level",
    "standard_table",
]
