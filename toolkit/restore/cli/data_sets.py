"""The images of `restore evaluate`: options, checks and data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.evaluation import Dataset
    from restore.registry import Registry

__all__ = ["DataOptions", "check_names", "data_sets", "divided"]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images are measured, and how their inputs are made; see `restore.cli.grouping`."""

    data: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FOLDER", help="Add a folder of target images. Repeatable."),
    ] = None
    degraded: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FOLDER",
            help="Use the inputs in this folder; one for each --data, named as its targets, or without any.",
        ),
    ] = None
    degradation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[+NAME...]",
            help="Make the inputs by this degradation, without --degraded. Repeatable.",
            show_default="bicubic",
        ),
    ] = None
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME.OPTION=VALUE,VALUE",
            help="Evaluate each value of an option of a degradation. Repeatable.",
        ),
    ] = None

    @property
    def degradations(self) -> list[str]:
        """Those that make the inputs."""
        return self.degradation or ["bicubic"]

    @property
    def labels(self) -> set[str]:
        """The names of the degradations, under which their options are given."""
        from restore.data import labels

        return {label for name in self.degradations for label in labels(name)}

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if not self.data and not self.degraded:
            raise UsageError(
                "there are no images", hint="give folders of targets by --data, or of inputs by --degraded"
            )
        if self.degraded and (self.degradation or self.sweep):
            raise UsageError(
                "--degraded gives the inputs, which --degradation and --sweep would make", hint="omit one"
            )
        if self.data and self.degraded and len(self.degraded) != len(self.data):
            raise UsageError(
                f"--degraded is given {len(self.degraded)} times for {len(self.data)} --data",
                hint="give one for each",
            )


def data_sets(
    images: DataOptions, registry: Registry, scale: int, chosen: Mapping[str, Mapping[str, Any]]
) -> list[Dataset]:
    """A data set for each folder and each way in which its inputs are made.

    Args:
        images: the folders and the degradations.
        registry: where to look for the degradations.
        scale: target pixels per input pixel.
        chosen: label -> option -> value of the degradations.
    """
    from restore.evaluation import Sweep, dataset, named_folder, variants

    ways = variants(images.degradations, chosen, [Sweep.parse(text) for text in images.sweep or ()])
    found = []
    targets, inputs = (map(named_folder, folders or ()) for folders in (images.data, images.degraded))
    for of_targets, of_inputs in zip_longest(targets, inputs, fillvalue=("", None)):
        for way in ways:
            one = dataset(
                of_targets[1],
                registry,
                scale,
                name=of_targets[0] or of_inputs[0],
                degraded=of_inputs[1],
                degradation=way.degradation,
                options=way.options,
            )
            found.append(replace(one, swept=way.swept))
    return found


def divided(
    chosen: Mapping[str, Mapping[str, Any]], images: DataOptions, registry: Registry
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The options of models and those of degradations, some of which have the same name, such as bicubic."""
    of_models, of_degradations = ({name: dict(own) for name, own in chosen.items()} for _ in range(2))
    for label in images.labels & {*registry.models}:
        fields = registry.degradations[label].options.model_fields
        for key in chosen.get(label, {}):
            del (of_models if key in fields else of_degradations)[label][key]
    return of_models, of_degradations


def check_names(sets: Sequence[Dataset], *, once: bool) -> None:
    """Refuse data sets that tables and reports could not tell apart.

    Args:
        sets: all of them.
        once: whether each may be given only once, as a report has one comparison of each image.
    """
    names = [(dataset.name, dataset.inputs) for dataset in sets]
    by_name = {dataset.name: dataset for dataset in reversed(sets)}
    for dataset in sets:
        if once and names.count((dataset.name, dataset.inputs)) > 1:
            raise UsageError(
                f"--data '{dataset.name}' is given twice, and a report has one comparison of each image",
                hint="give names: --data NAME=FOLDER",
            )
        if by_name[dataset.name].folder != dataset.folder:
            raise UsageError(
                f"two folders of --data are called '{dataset.name}'", hint="give names: --data NAME=FOLDER"
            )
