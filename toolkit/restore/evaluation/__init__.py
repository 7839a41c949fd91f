"""Measure models on data sets and single images; every value carries the protocol that produced it.

::

    registry = discover()
    data = dataset(Path("Set5/HR"), registry, 4)
    used = meters(["psnr", "perceptual"], registry, 4, targets=[Path("Set5/HR")])
    rows = [evaluate(load(name, scale=4), data, used) for name in ("bicubic", "enhancenet")]
    result = Result(tuple(rows), tuple(used), against="bicubic")
    result.differences(rows[1])["psnr"]  # mean, with its 95 % interval
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
