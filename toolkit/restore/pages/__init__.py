"""HTML pages, contact sheets and plots of comparisons and evaluations."""

from restore.pages.page import write_page
from restore.pages.report import Thumbnail, report, write_comparison, write_evaluation, write_report
from restore.pages.sheet import write_sheet

__all__ = [
    "Thumbnail",
    "report",
    "write_comparison",
    "write_evaluation",
    "write_page",
    "write_report",
    "write_sheet",
]
