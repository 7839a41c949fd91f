"""A model and an image become a restored image: devices, precision, tiles, files."""

from restore.inference.batch import Job, Outcome, plan
from restore.inference.hardware import choose_device, choose_precision
from restore.inference.pipeline import run_all
from restore.inference.restorer import Restorer, load

__all__ = ["Job", "Outcome", "Restorer", "choose_device", "choose_precision", "load", "plan", "run_all"]
