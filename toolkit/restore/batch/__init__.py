"""Batches of images: planning, naming, locking, skipping and the pipeline from files to files."""

from restore.batch.estimate import preview
from restore.batch.executor import Executor, Settings
from restore.batch.jobs import Existing, Job, Listener, Outcome
from restore.batch.naming import Naming
from restore.batch.output import Output
from restore.batch.pipeline import Pipeline
from restore.batch.planning import Plan, plan
from restore.batch.running import run_all

__all__ = [
    "Executor",
    "Existing",
    "Job",
    "Listener",
    "Naming",
    "Outcome",
    "Output",
    "Pipeline",
    "Plan",
    "Settings",
    "plan",
    "preview",
    "run_all",
]
