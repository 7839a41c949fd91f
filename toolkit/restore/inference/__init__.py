"""A model and an image become a restored image: devices, precision, tiles, engines."""

from restore.inference.auto import AnyRestorer, AutoRestorer
from restore.inference.devices import choose_device, choose_precision
from restore.inference.loading import load
from restore.inference.restorer import Restorer

__all__ = ["AnyRestorer", "AutoRestorer", "Restorer", "choose_device", "choose_precision", "load"]
