"""A model and an image become a restored image: devices, precision, tiles, files."""

from restore.inference.batch import Existing, Job, Outcome
from restore.inference.estimate import preview
from restore.inference.hardware import choose_device, choose_precision
from restore.inference.naming import Naming
from restore.inference.output import Output, native_scale
from restore.inference.pipeline import run_all
from restore.inference.plan import Plan, plan
from restore.inference.restorer import Restorer, load

__all__ = [
    "Existing",
    "Job",
    "Naming",
    "Outcome",
    "Output",
    "Plan",
    "Restorer",
    "choose_device",
    "choose_precision",
    "load",
    "native_scale",
    "plan",
    "preview",
    "run_all",
]
