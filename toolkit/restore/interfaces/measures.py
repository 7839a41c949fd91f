"""Metrics, and the values that papers published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from restore.errors import EntryError
from restore.interfaces.entry import Named
from restore.interfaces.options import Options

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Method", "Metric", "MetricSpec", "PublishedTable", "SetMetric", "SetMetricSpec"]


class Metric(Protocol):
    """Measures one restored image, against its target if it needs one.

    >>> import torch
    >>> def largest(restored: Tensor, target: Tensor, *, gray: bool) -> float:
    ...     return float((restored - target).abs().max())
    >>> metric: Metric = largest
    >>> metric(torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), gray=False)
    1.0
    """

    def __call__(self, restored: Tensor, target: Tensor, *, gray: bool) -> float:
        """`restored` and `target`: ``(1, 3, H, W)``, equal to multiples of 1/255 when read from files.

        `gray` says whether the target's file has a single channel, repeated here to three. Where there is no
        target, a metric that needs none is given the restored image in its place, and `gray` is that of the
        input.
        """
        ...


class SetMetric(Protocol):
    """Measures the results of one model on a whole set of images, such as the distance of distributions.

    >>> import torch
    >>> class Worst:
    ...     def __init__(self) -> None:
    ...         self.errors: list[float] = []
    ...     def update(self, restored: Tensor, target: Tensor, *, gray: bool) -> None:
    ...         self.errors.append(float((restored - target).abs().max()))
    ...     def compute(self) -> float:
    ...         return max(self.errors)
    >>> metric: SetMetric = Worst()
    >>> metric.update(torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), gray=False)
    >>> metric.compute()
    1.0
    """

    def update(self, restored: Tensor, target: Tensor, *, gray: bool) -> None:
        """Add one result; the arguments are those of `Metric`."""
        ...

    def compute(self) -> float:
        """The value of all results that were added, at least one."""
        ...


@dataclass(frozen=True)
class _Measure(Named):
    """The fields of both kinds of metrics."""

    name: str
    summary: str
    build: Callable[[int, Any], Any]
    protocol: Callable[[int, Any], str]
    """``protocol(scale, options)``: everything that changes the value, in one line. Values with
    different protocols are never put into one column."""
    better: Literal["higher", "lower"]
    """Which values are better."""
    unit: str = ""
    """Of the values, such as ``dB``."""
    digits: int = 4
    """Decimals worth printing."""
    options: type[Options] = Options
    """Schema of the options that users can change."""
    reference: str = ""
    """The publication."""
    needs_target: bool = True
    """Whether it looks at the target. One that does not is given it all the same, where there is one."""


@dataclass(frozen=True)
class MetricSpec(_Measure):
    """A metric of single images, with the protocol by which its values may be compared.

    Example:
        >>> from restore.interfaces import lazy
        >>> spec = MetricSpec(
        ...     "mae",
        ...     "Mean absolute error",
        ...     build=lazy("restore_mine.metrics:build"),
        ...     protocol=lambda scale, options: "RGB, 8 bits",
        ...     better="lower",
        ... )
        >>> spec.digits
        4
    """

    build: Callable[[int, Any], Metric]
    """``build(scale, options)``."""


@dataclass(frozen=True)
class SetMetricSpec(_Measure):
    """A metric that has one value for a whole set of images, and none for a single one.

    >>> from restore.interfaces import lazy
    >>> spec = SetMetricSpec(
    ...     "fid",
    ...     "Frechet distance between the features of results and targets",
    ...     build=lazy("restore_fid.measure:Distance"),
    ...     protocol=lambda scale, options: "Inception v3, 8-bit results",
    ...     better="lower",
    ... )
    >>> spec.needs_target
    True
    """

    build: Callable[[int, Any], SetMetric]
    """``build(scale, options)``: a measurement of one set, to which no result was added yet."""


@dataclass(frozen=True)
class Method:
    """A column of a published table: a method, and the model that is measured for it here."""

    title: str
    """As the paper calls it."""
    model: str | None = None
    """``NAME[:WEIGHTS]`` that is measured for the column; ``None`` where there is no such model."""
    degradation: str = "bicubic"
    """Name of the one that made the method's inputs."""
    degradation_options: Mapping[str, Any] = field(default_factory=dict)
    """As `restore.data.find_degradation` takes them, such as ``{"sigma": 25}`` of ``noise``."""
    model_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the model at run time, and numbers for its network, such as ``{"sigma": 25}``."""

    @property
    def inputs(self) -> str:
        """The degradation with its options.

        >>> Method("FFDNet", "ffdnet:noise", "noise", {"sigma": 25}).inputs
        'noise, sigma 25'
        """
        options = (f"{key} {value}" for key, value in self.degradation_options.items())
        return ", ".join([self.degradation, *options])


@dataclass(frozen=True)
class PublishedTable(Named):
    """Values of a paper, which are printed next to measured ones by ``restore reproduce``.

    Tables of one paper are called ``PAPER.TABLE``: ``restore reproduce PAPER`` prints all of them.

    >>> from restore.registry import discover
    >>> table = next(iter(discover().tables.values()))
    >>> len(next(iter(table.rows.values()))) == len(table.columns)
    True
    """

    name: str
    summary: str
    columns: tuple[Method, ...]
    """The methods that the paper compares."""
    rows: Mapping[str, Sequence[float | None]]
    """Data set -> a value for each of `columns`; ``None`` where the paper gives none."""
    metric: str
    """Name of the metric of the values."""
    scale: int
    """Output pixels per input pixel along one side."""
    protocol: str
    """How the paper measured, in one line."""
    reference: str = ""
    """The publication."""
    metric_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the metric, such as ``{"channels": "rgb"}``."""

    def __post_init__(self) -> None:
        """Check the shape.

        Raises:
            EntryError: a row is longer or shorter than the columns, or two columns have one title.
        """
        super().__post_init__()
        titles = [method.title for method in self.columns]
        if len(titles) != len(set(titles)):
            raise EntryError(f"table '{self.name}' has two columns of one title: {', '.join(titles)}")
        for title, values in self.rows.items():
            if len(values) != len(self.columns):
                raise EntryError(
                    f"table '{self.name}': row '{title}' has {len(values)} values for "
                    f"{len(self.columns)} columns"
                )
