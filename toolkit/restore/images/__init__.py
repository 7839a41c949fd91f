"""Image files to tensors and back, with what a file carries besides its pixels.

::

    photo = read(Path("photo.jpg"))        # every mode and format that Pillow opens
    photo.color                            # the tensor contract: (1, 3, H, W) in [0, 1]
    write(dataclasses.replace(photo, color=restored), Path("photo_x4.png"))

What each format keeps is in docs/reference/file-formats.md.
"""

from restore.images.animation import holds_animation, read_all, write_animation
from restore.images.checking import check
from restore.images.color import Conversion, conversion_of
from restore.images.fitting import losses
from restore.images.formats import READ_SUFFIXES, WRITE_SUFFIXES, is_image_name, longest_side
from restore.images.limits import MAX_PIXELS, DeclaredSize, readable
from restore.images.photo import Animation, Photo
from restore.images.provenance import Provenance, read_provenance, stores_provenance
from restore.images.reading import Header, from_pil, header_of, read, read_levels, size_of
from restore.images.suffixes import suffix_of
from restore.images.truncation import is_cut_off
from restore.images.writing import to_pil, write, write_atomic

__all__ = [
    "MAX_PIXELS",
    "READ_SUFFIXES",
    "WRITE_SUFFIXES",
    "Animation",
    "Conversion",
    "DeclaredSize",
    "Header",
    "Photo",
    "Provenance",
    "check",
    "conversion_of",
    "from_pil",
    "header_of",
    "holds_animation",
    "is_cut_off",
    "is_image_name",
    "longest_side",
    "losses",
    "read",
    "read_all",
    "read_levels",
    "read_provenance",
    "readable",
    "size_of",
    "stores_provenance",
    "suffix_of",
    "to_pil",
    "write",
    "write_animation",
    "write_atomic",
]
