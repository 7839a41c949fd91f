"""Measure models on data sets and single images; every value carries the protocol that produced it.

>>> from pathlib import Path
>>> from PIL import Image
>>> import restore
>>> Path("targets").mkdir()
>>> for angle in (0, 30):
...     Image.linear_gradient("L").rotate(angle).save(f"targets/{angle}.png")
>>> registry = restore.discover()
>>> data = dataset(Path("targets"), registry, 4)
>>> used = meters(["psnr", "l1"], registry, 4, targets=[Path("targets")])
>>> models = [restore.load(name, scale=4, device="cpu") for name in ("bicubic", "srcnn")]
>>> rows = [evaluate(model, data, used) for model in models]
>>> result = Result(tuple(rows), tuple(used), against="bicubic")
>>> difference = result.differences(rows[1])["psnr"]  # mean, with its 95 % interval
>>> difference.low <= difference.mean <= difference.high
True
"""

from restore.evaluation.bootstrap import Difference, paired
from restore.evaluation.comparison import Comparison, Picture, check_comparable, check_references, compare
from restore.evaluation.cost import cost, multiply_adds, parameters, peak_memory
from restore.evaluation.crop import Crop
from restore.evaluation.datasets import Dataset, EvaluationSample, dataset, named_folder
from restore.evaluation.meters import (
    AnyMeter,
    Better,
    Meter,
    SetMeter,
    check_meters,
    default_metrics,
    meters,
    set_meters,
)
from restore.evaluation.published import Cell, Reproduction, find_tables
from restore.evaluation.regions import Region, worst_regions
from restore.evaluation.restoring import failure_reason
from restore.evaluation.results import Result
from restore.evaluation.rows import Cost, Measured, Row
from restore.evaluation.running import evaluate
from restore.evaluation.scene import Scene
from restore.evaluation.sweeping import Sweep, Variant, variants

__all__ = [
    "AnyMeter",
    "Better",
    "Cell",
    "Comparison",
    "Cost",
    "Crop",
    "Dataset",
    "Difference",
    "EvaluationSample",
    "Measured",
    "Meter",
    "Picture",
    "Region",
    "Reproduction",
    "Result",
    "Row",
    "Scene",
    "SetMeter",
    "Sweep",
    "Variant",
    "check_comparable",
    "check_meters",
    "check_references",
    "compare",
    "cost",
    "dataset",
    "default_metrics",
    "evaluate",
    "failure_reason",
    "find_tables",
    "meters",
    "multiply_adds",
    "named_folder",
    "paired",
    "parameters",
    "peak_memory",
    "set_meters",
    "variants",
    "worst_regions",
]
