"""Results, registries and training progress as text tables and lines."""

from restore.report.evaluation import (
    Block,
    check_result_file,
    check_writable,
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
    "check_writable",
    "evaluation_table",
    "markdown",
    "plain",
    "plain_table",
    "reproduction",
    "training_line",
    "write_result",
]
