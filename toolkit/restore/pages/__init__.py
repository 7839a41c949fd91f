"""HTML pages, contact sheets and plots of comparisons and evaluations."""

from restore.pages.comparison_page import page, script_hashes, write_page
from restore.pages.evaluation_images import (
    EvaluatedImage,
    evaluated_images,
    write_comparison,
    write_evaluation,
)
from restore.pages.evaluation_page import Thumbnail, evaluation_page, write_evaluation_page
from restore.pages.sheet import write_sheet
from restore.pages.templating import asset

__all__ = [
    "EvaluatedImage",
    "Thumbnail",
    "asset",
    "evaluated_images",
    "evaluation_page",
    "page",
    "script_hashes",
    "write_comparison",
    "write_evaluation",
    "write_evaluation_page",
    "write_page",
    "write_sheet",
]
