"""A model and an image become a restored image: devices, precision, tiles, engines."""

from restore.inference.devices import choose_device, choose_precision
from restore.inference.restorer import Restorer, load

__all__ = ["Restorer", "choose_device", "choose_precision", "load"]
