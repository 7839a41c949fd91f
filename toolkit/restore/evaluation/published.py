"""A paper's published values next to measured ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from restore.errors import RestoreError, UnknownNameError, UsageError, nearest
from restore.evaluation.datasets import dataset
from restore.evaluation.meters import meters
from restore.evaluation.rows import Row
from restore.evaluation.running import evaluate
from restore.inference import Restorer
from restore.interfaces import Method, PublishedTable
from restore.registry import Registry

__all__ = ["Cell", "Reproduction", "find_tables"]

_GIVEN = "bicubic"  # the degradation whose inputs test sets come with


@dataclass(frozen=True)
class Cell:
    """One published value, and the measured one."""

    table: str
    method: str
    data: str
    published: float | None
    measured: float | None = None
    model: str | None = None
    images: int = 0
    protocol: Mapping[str, str] | None = None
    """As in `Row`."""
    missing: str = ""
    """Why there is no measured value, and what to do about it."""
    failures: Mapping[str, str] | None = None
    """Images that the mean leaves out, each with its reason."""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable dictionary."""
        return asdict(self)


def find_tables(name: str, registry: Registry) -> list[PublishedTable]:
    """The table `name`, or all tables of the paper `name`.

    Raises:
        UnknownNameError: there is neither.

    Example:
        >>> from restore.registry import discover
        >>> [table.name for table in find_tables("enhancenet", discover())]
        ['enhancenet.table3', 'enhancenet.table4']
    """
    found = [table for key, table in registry.tables.items() if key == name or key.startswith(f"{name}.")]
    if not found:
        known = sorted({*registry.tables, *(key.partition(".")[0] for key in registry.tables)})
        raise UnknownNameError(
            f"there is no published table '{name}'.{nearest(name, known)}",
            hint=f"use one of {', '.join(known)}" if known else "install a plugin that has one",
        )
    return found


class Reproduction:
    """Measures the values of published tables, each model on each data set once.

    Args:
        tables: what to reproduce.
        registry: where to look.
        targets: data set -> folder of target images.
        degraded: data set -> folder of inputs, for the methods that worked on bicubic ones.
        models: title of a column, or the table's own model -> model that is measured in its place.
        load: loads a model by reference, scale and options.

    Raises:
        UsageError: no table has such a data set or column.

    Example:
        >>> from restore.inference import load
        >>> from restore.registry import discover
        >>> registry = discover()
        >>> tables = find_tables("ffdnet.cbsd68", registry)
        >>> found = Reproduction(tables, registry, targets={}, degraded={}, models={}, load=load)
        >>> found.cells(tables[0])[0].measured is None  # there is no folder of its targets
        True
    """

    def __init__(
        self,
        tables: Iterable[PublishedTable],
        registry: Registry,
        targets: Mapping[str, Path],
        degraded: Mapping[str, Path],
        models: Mapping[str, str],
        load: Callable[[str, int, Mapping[str, Any]], Restorer],
    ) -> None:
        self.tables = list(tables)
        self._registry = registry
        self._targets, self._degraded, self._models = targets, degraded, models
        self._load = load
        self._rows: dict[tuple[Any, ...], Row | str] = {}
        _check_known("data", targets, [name for table in self.tables for name in table.rows])
        _check_known("degraded", degraded, targets)
        methods = [method for table in self.tables for method in table.columns]
        own = [method.model for method in methods if method.model is not None]
        _check_known("model", models, [*(method.title for method in methods), *own])

    def cells(self, table: PublishedTable) -> list[Cell]:
        """The values of the table in its order, column by column.

        Raises:
            RestoreError: a folder cannot be used.
        """
        return [
            self._cell(table, method, data, values[column])
            for column, method in enumerate(table.columns)
            for data, values in table.rows.items()
        ]

    def _cell(self, table: PublishedTable, method: Method, data: str, published: float | None) -> Cell:
        model = self._models.get(method.title, self._models.get(method.model or "", method.model))
        cell = Cell(table.name, method.title, data, published, model=model)
        if model is None:
            hint = f"set `model` {method.title}=NAME:FILE"
            return replace(cell, missing=f"{method.title}: no model is mapped to this column; {hint}")
        if data not in self._targets:
            return replace(cell, missing=f"{data}: no folder is given; set `data` {data}=FOLDER")
        found = self._row(model, table, method, data)
        if isinstance(found, str):
            return replace(cell, missing=f"{method.title}: {found}")
        cell = replace(cell, images=len(found.images), protocol=found.protocol, failures=found.failures)
        if not found.images:
            return replace(cell, missing=f"{data}: no image could be measured")
        return replace(cell, measured=found.means[table.metric])

    def _row(self, model: str, table: PublishedTable, method: Method, data: str) -> Row | str:
        """The measured row, or why the model cannot be loaded."""
        chosen = (method.degradation_options, method.model_options, table.metric_options)
        options = tuple(tuple(sorted(one.items())) for one in chosen)
        key = (model, table.metric, table.scale, method.degradation, options, data)
        if key not in self._rows:
            folder = self._degraded.get(data) if method.degradation == _GIVEN else None
            images = dataset(
                self._targets[data],
                self._registry,
                table.scale,
                name=data,
                degraded=folder,
                degradation=method.degradation,
                options=method.degradation_options,
            )
            try:
                restorer = self._load(model, table.scale, method.model_options)
            except RestoreError as error:
                self._rows[key] = str(error)
            else:
                metric_options = {table.metric: table.metric_options}
                used = meters([table.metric], self._registry, table.scale, options=metric_options)
                self._rows[key] = evaluate(restorer, images, used)
        return self._rows[key]


def _check_known(parameter: str, given: Iterable[str], known: Iterable[str]) -> None:
    names = list(dict.fromkeys(known))
    for name in given:
        if name not in names:
            raise UsageError(
                f"`{parameter}` names '{name}', which the table does not have.{nearest(name, names)}",
                hint=f"use one of {', '.join(names)}",
            )
