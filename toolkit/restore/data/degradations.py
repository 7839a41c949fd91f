"""Degradations by name: a single entry, or a chain of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from restore.errors import OptionsError, UsageError
from restore.interfaces import DegradationSpec, Degrade, Degraded, Options, Parameters, parse
from restore.registry import Registry, numbered
from restore.tiling import round_up

__all__ = ["CHAIN", "ChainOptions", "Degradation", "find_degradation", "generator_of", "labels", "options_of"]

CHAIN = "chain"
"""Label under which the options of a chain itself are given."""


class ChainOptions(Options):
    """How the elements of a chain are applied."""

    order: Literal["kept", "shuffled"] = "kept"


PlainDegrade: TypeAlias = Callable[[Tensor, torch.Generator], Tensor]
"""What version 1 of the contract had: it returns the image without its parameters."""


@dataclass(frozen=True)
class Degradation:
    """A degradation at one scale.

    Args:
        degrade: makes the degraded images; a plain function may return them without parameters.
        scale: target pixels per input pixel.
        margin: target pixels on each side on which the result depends; a multiple of `scale`.
        name: as the user gave it, such as ``blur+bicubic+jpeg``.
        protocol: everything that changes the result, in one line.

    >>> half = Degradation(lambda target, generator: target / 2)
    >>> half(torch.ones(1, 3, 1, 1), generator_of(0, 0)).image.unique().item()
    0.5
    """

    degrade: Degrade | PlainDegrade
    scale: int = 1
    margin: int = 0
    name: str = ""
    protocol: str = ""

    def __call__(self, target: Tensor, generator: torch.Generator) -> Degraded:
        """See `restore.interfaces.Degrade`."""
        return _with_parameters(self.degrade(target, generator))


@dataclass(frozen=True)
class _Element:
    label: str
    spec: DegradationSpec
    options: Options
    scale: int

    def build(self) -> Degrade:
        return self.spec.build(self.scale, self.options)

    @property
    def margin(self) -> int:
        return self.spec.margin(self.scale, self.options)

    @property
    def protocol(self) -> str:
        return self.spec.protocol(self.scale, self.options)


def find_degradation(
    name: str, registry: Registry, scale: int, options: Mapping[str, Any] | None = None
) -> Degradation:
    """The degradation that `name` means, at one scale.

    Args:
        name: of an entry, or of several joined by ``+``, which are applied in their order. The second of
            two equal ones has the label ``NAME#2``.
        registry: where to look.
        scale: by which the one element that resizes divides the size.
        options: for each label its options by name; those of a single entry may also stand without its
            label. The label ``chain`` has ``order``, which is ``kept`` or ``shuffled`` for each image.

    Raises:
        UnknownNameError: no such degradation.
        UsageError: none of the elements resizes and the scale is not 1, or more than one does.
        OptionsError: an option is wrong, or for a label that the chain does not have.
    """
    names = name.split("+")
    given = dict(options or {})
    if len(names) == 1:
        labeled = given.pop(name) if isinstance(given.get(name), Mapping) else {}
        (element,) = _elements(names, registry, scale, {name: {**labeled, **given}})
        margin = round_up(element.margin, scale)
        return Degradation(element.build(), scale, margin, name, element.protocol)
    chain = parse(ChainOptions, given.pop(CHAIN, {}), "the chain of degradations")
    elements = _elements(names, registry, scale, given)
    shuffled = chain.order == "shuffled"
    listed = "; ".join(f"{element.label}: {element.protocol}" for element in elements)
    return Degradation(
        _Chain(elements, shuffled=shuffled),
        scale,
        round_up(_margin(elements, scale, shuffled=shuffled), scale),
        name,
        f"{listed}{'; in random order' if shuffled else ''}",
    )


def labels(name: str) -> list[str]:
    """The names under which options of a degradation are given.

    >>> labels("jpeg+bicubic+jpeg")
    ['jpeg', 'bicubic', 'jpeg#2', 'chain']
    >>> labels("bicubic")
    ['bicubic']
    """
    names = name.split("+")
    return names if len(names) == 1 else [*numbered(names), CHAIN]


def options_of(name: str, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The part of `chosen` (label -> options) that belongs to a degradation, as `find_degradation` takes it.

    >>> options_of("jpeg", {"jpeg": {"quality": 30}, "psnr": {}})
    {'quality': 30}
    >>> options_of("bicubic+jpeg", {"jpeg": {"quality": 30}, "psnr": {}})
    {'jpeg': {'quality': 30}}
    """
    if "+" not in name:
        return dict(chosen.get(name, {}))
    return {label: dict(chosen[label]) for label in labels(name) if label in chosen}


def generator_of(seed: int, image: int | str) -> torch.Generator:
    """The random numbers of one image: the same for every model, in every run, with any number of workers.

    Args:
        seed: of the data set.
        image: its index or its name; with the name, the other images of a folder make no difference.
    """
    key = f"{seed} {image}" if isinstance(image, int) else f"{seed} '{image}'"
    digest = hashlib.sha256(os.fsencode(key)).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


class _Chain:
    """A chain of degradations, applied in order or in a random order for each image."""

    def __init__(self, elements: Sequence[_Element], *, shuffled: bool) -> None:
        self._labels = [element.label for element in elements]
        self._parts = [element.build() for element in elements]
        self._shuffled = shuffled

    def __call__(self, target: Tensor, generator: torch.Generator) -> Degraded:
        images, parameters = zip(*(self._one(image[None], generator) for image in target), strict=True)
        return Degraded(torch.cat(images), parameters)

    def _one(self, image: Tensor, generator: torch.Generator) -> tuple[Tensor, Parameters]:
        order = list(range(len(self._parts)))
        if self._shuffled:
            order = torch.randperm(len(self._parts), generator=generator).tolist()
        drawn: dict[str, float | str] = {}
        for index in order:
            image, (own,) = _with_parameters(self._parts[index](image, generator))
            drawn |= {f"{self._labels[index]}.{name}": value for name, value in own.items()}
        return image, drawn


def _elements(
    names: Sequence[str], registry: Registry, scale: int, options: Mapping[str, Any]
) -> list[_Element]:
    known = numbered(names)
    unknown = next((label for label in options if label not in known), None)
    if unknown is not None:
        raise OptionsError(
            f"the degradation '{'+'.join(names)}' has no element '{unknown}'; it has {', '.join(known)}"
        )
    specs = [registry.degradations[name] for name in names]
    _check_one_resizes(names, specs, scale)
    return [
        _Element(
            label,
            spec,
            parse(spec.options, options.get(label, {}), f"degradation '{label}'"),
            scale if spec.resizes else 1,
        )
        for label, spec in zip(known, specs, strict=True)
    ]


def _check_one_resizes(names: Sequence[str], specs: Sequence[DegradationSpec], scale: int) -> None:
    resizing = [name for name, spec in zip(names, specs, strict=True) if spec.resizes]
    if len(resizing) > 1:
        raise UsageError(
            f"two elements of the degradation '{'+'.join(names)}' resize: {', '.join(resizing)}",
            hint="leave all but one of them out",
        )
    if not resizing and scale != 1:
        raise UsageError(
            f"no element of the degradation '{'+'.join(names)}' resizes, and the scale is {scale}",
            hint="add one that does, such as bicubic, or use `scale` 1",
        )


def _margin(elements: Sequence[_Element], scale: int, *, shuffled: bool) -> int:
    """The sum of all margins in target pixels: those after the downscaling count `scale` times."""
    total, factor = 0, scale if shuffled else 1
    for element in elements:
        if element.spec.resizes:
            total, factor = total + element.margin, scale
        else:
            total += factor * element.margin
    return total


def _with_parameters(result: Degraded | Tensor) -> Degraded:
    """The one place that knows version 1 of the contract, in which a degradation returned the image alone."""
    return Degraded(result, ({},) * len(result)) if isinstance(result, Tensor) else result
