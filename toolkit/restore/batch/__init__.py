"""Batches of images: planning, naming, locking, skipping and the pipeline from files to files."""

from restore.batch.estimate import preview
from restore.batch.jobs import Existing, Job, Listener, Outcome
from restore.batch.naming import Naming
from restore.batch.output import Output
from restore.batch.pipeline import run_all
from restore.batch.planning import Plan, plan

__all__ = [
    "Existing",
    "Job",
    "Listener",
    "Naming",
    "Outcome",
    "Output",
    "Plan",
    "plan",
    "preview",
    "run_all",
]
