"""What was measured, what is installed and how a run goes, as tables and lines for people."""

from restore.report.progress import Progress, training_line
from restore.report.tables import evaluation_table, plain_table, render

__all__ = ["Progress", "evaluation_table", "plain_table", "render", "training_line"]
