"""A model and an image become a restored image: devices, precision, tiles, engines."""

from restore.inference.auto import AnyRestorer, AutoRestorer
from restore.inference.devices import choose_device, choose_precision
from restore.inference.loading import check_reference, load, load_at
from restore.inference.restorer import Restorer

__all__ = [
    "AnyRestorer",
    "AutoRestorer",
    "Restorer",
    "check_reference",
    "choose_device",
    "choose_precision",
    "load",
    "load_at",
]
