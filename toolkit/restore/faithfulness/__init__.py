"""Check how faithful a restored image is to its input, without a target.

::

    photo = read(Path("photo.jpg"))
    found = compare(restored, photo.color, estimate(photo, Path("photo.jpg")))
    found.warnings  # one sentence for each value beyond its limit
"""

from restore.faithfulness.amplification import Amplification, amplification
from restore.faithfulness.consistency import consistency_map
from restore.faithfulness.report import (
    AMPLIFIED,
    CONSISTENT,
    SHIFTED,
    Faithfulness,
    color_shift,
    compare,
)

__all__ = [
    "AMPLIFIED",
    "CONSISTENT",
    "SHIFTED",
    "Amplification",
    "Faithfulness",
    "amplification",
    "color_shift",
    "compare",
    "consistency_map",
]
