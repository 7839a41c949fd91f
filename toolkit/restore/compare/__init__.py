"""One image through several models, side by side: a page for the browser, and a sheet to print or send.

::

    found = compare(Path("photo.jpg"), [load("bicubic"), load("enhancenet")])
    write_page(found, Path("photo_compare.html"))
    write_sheet(found, Path("photo_compare.png"))
"""

from restore.compare.comparison import Comparison, Figure, Picture, compare
from restore.compare.crop import Crop
from restore.compare.page import write_page
from restore.compare.regions import Region, worst_regions
from restore.compare.report import Thumbnail, report, write_comparison, write_evaluation, write_report
from restore.compare.sheet import write_sheet

__all__ = [
    "Comparison",
    "Crop",
    "Figure",
    "Picture",
    "Region",
    "Thumbnail",
    "compare",
    "report",
    "worst_regions",
    "write_comparison",
    "write_evaluation",
    "write_page",
    "write_report",
    "write_sheet",
]
