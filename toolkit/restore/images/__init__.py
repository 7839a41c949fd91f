"""Image files to tensors and back, with what a file carries besides its pixels.

::

    photo = read(Path("photo.jpg"))        # every mode and format that Pillow opens
    photo.color                            # the tensor contract: (1, 3, H, W) in [0, 1]
    write(dataclasses.replace(photo, color=restored), Path("photo_x4.png"))

Two limits are Pillow's: 16-bit colour and 16-bit gray with alpha are cut to 8 bits while they are read
(16-bit gray is not), and of an animation or a file with several pages only the first picture is read.
"""

from restore.images.checking import check
from restore.images.formats import READ_SUFFIXES, WRITE_SUFFIXES, is_image_name
from restore.images.photo import Photo
from restore.images.provenance import Provenance, read_provenance
from restore.images.reading import from_pil, read, read_levels, size_of
from restore.images.writing import to_pil, write

__all__ = [
    "READ_SUFFIXES",
    "WRITE_SUFFIXES",
    "Photo",
    "Provenance",
    "check",
    "from_pil",
    "is_image_name",
    "read",
    "read_levels",
    "read_provenance",
    "size_of",
    "to_pil",
    "write",
]
