"""What was measured, what is installed and how a run goes, as tables and lines for people."""

from restore.report.evaluation import (
    Block,
    check_result_file,
    evaluation_table,
    markdown,
    plain,
    reproduction,
    write_result,
)
from restore.report.progress import Progress, training_line
from restore.report.tables import plain_table

__all__ = [
    "Block",
    "Progress",
    "check_result_file",
    "evaluation_table",
    "markdown",
    "plain",
    "plain_table",
    "reproduction",
    "training_line",
    "write_result",
]
