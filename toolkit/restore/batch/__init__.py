"""Batches of images: planning, naming, locking, skipping and the pipeline from files to files."""

from restore.batch.estimate import preview
from restore.batch.jobs import Existing, Job, Outcome
from restore.batch.naming import Naming
from restore.batch.output import Output, native_scale
from restore.batch.pipeline import run_all
from restore.batch.planning import Plan, plan

__all__ = [
    "Existing",
    "Job",
    "Naming",
    "Outcome",
    "Output",
    "Plan",
    "native_scale",
    "plan",
    "preview",
    "run_all",
]
