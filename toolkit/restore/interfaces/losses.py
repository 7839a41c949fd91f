"""Losses: single terms of what a generator minimizes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

from restore.errors import EntryError
from restore.interfaces.entry import Named
from restore.interfaces.options import Options

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "Checkable",
    "FeatureLoss",
    "FeatureNetwork",
    "GeneratorFeatures",
    "LossInput",
    "LossSpec",
    "Noted",
    "Preparable",
    "check_preparation",
    "notes_of",
    "prepare",
]

LossInput = Literal["restored", "target", "degraded", "step", "features"]
"""What a loss may ask for: the restored images, their targets, the inputs that they were restored from, the
number of updates done so far, and intermediate features of the generator."""


@dataclass(frozen=True)
class LossSpec(Named):
    """One term of an objective.

    ``build(options)`` gives a module that returns **one scalar** to be minimized. It is called with the
    restored images and, if it asks for them, the targets as positional arguments, and with everything else
    in `inputs` by keyword. Images follow the tensor contract; restored images and targets have equal shapes.

    Building downloads nothing and reads nothing: see `Preparable`. A module that compares features of a
    network can share its pass through it with other losses: see `FeatureLoss`. One that asks for
    ``features`` is a `GeneratorFeatures`. Parameters that require a gradient are trained with the generator,
    by an optimizer of their own; freeze those of a fixed network. Persistent buffers that the module changes
    when it is called, such as a running mean, are part of the checkpoint; with several processes they change
    by the mean of the changes in all of them.

    Raises:
        EntryError: an input is unknown or named twice, or the restored images are not the first.

    Example:
        >>> from restore.interfaces import lazy
        >>> LossSpec("l1", "Mean absolute error", build=lazy("restore_mine.losses:build_l1")).inputs
        ('restored', 'target')
    """

    name: str
    summary: str
    build: Callable[[Any], nn.Module]
    """``build(options)``: the loss, a module."""
    options: type[Options] = Options
    """Schema of the options that users can change."""
    reference: str = ""
    """The publication."""
    inputs: tuple[LossInput, ...] = ("restored", "target")
    """What it is called with, ``restored`` first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = get_args(LossInput)
        for each in self.inputs:
            if each not in known:
                raise EntryError(f"loss '{self.name}' asks for '{each}'; it can ask for {', '.join(known)}")
        if self.inputs[:1] != ("restored",) or len(set(self.inputs)) != len(self.inputs):
            raise EntryError(
                f"loss '{self.name}' asks for {self.inputs}: name each input once, 'restored' first"
            )


@runtime_checkable
class GeneratorFeatures(Protocol):
    """What a loss's module has if it asks for intermediate features of the generator.

    >>> from torch import nn
    >>> class Sparsity(nn.Module):
    ...     generator_layers = ("body.0",)
    ...     def forward(self, restored: Tensor, target: Tensor, *, features: Mapping[str, Tensor]) -> Tensor:
    ...         return features["body.0"].abs().mean()
    >>> isinstance(Sparsity(), GeneratorFeatures)
    True
    """

    generator_layers: Collection[str]
    """Names of submodules of the generator, as in ``named_modules()``. Their outputs are what it gets:
    ``features={name: output}``."""


@runtime_checkable
class Preparable(Protocol):
    """A loss's module that needs more than its options: weights to be fetched, statistics of images.

    What it measures it keeps in persistent buffers, so that the checkpoints of a run carry it. Weights
    that can be fetched again belong into buffers that are not persistent.

    >>> from torch import nn
    >>> class Whitened(nn.Module):
    ...     def prepare(self, samples: Sequence[Tensor]) -> None:
    ...         self.register_buffer("mean", samples[0].mean((1, 2)))
    >>> isinstance(Whitened(), Preparable)
    True
    """

    def prepare(self, samples: Sequence[Tensor]) -> None:
        """Become ready to be called. Called before the first step, and again after a run is resumed.

        Args:
            samples: targets ``(3, H, W)`` of the data, read when they are indexed. What the persistent
                buffers hold already is not measured again.

        Raises:
            RestoreError: something cannot be fetched, or does not fit.
        """
        ...


def prepare(module: nn.Module, samples: Sequence[Tensor]) -> None:
    """Call `Preparable.prepare` of all parts of `module` that have it.

    Args:
        module: a loss, or anything that holds losses.
        samples: see `Preparable`.

    Raises:
        RestoreError: what a part raised.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> class Whitened(nn.Module):
        ...     def prepare(self, samples: Sequence[Tensor]) -> None:
        ...         self.register_buffer("mean", samples[0].mean((1, 2)))
        >>> loss = Whitened()
        >>> prepare(loss, [torch.full((3, 8, 8), 0.5)])
        >>> loss.mean
        tensor([0.5000, 0.5000, 0.5000])
    """
    for part in module.modules():
        if isinstance(part, Preparable):
            part.prepare(samples)


@runtime_checkable
class Noted(Protocol):
    """A loss's module with remarks that belong to its values, such as weights of unknown origin.

    They are known once it is prepared. A run reports them and keeps them in the metadata of its weights; a
    metric made of the loss has them in its protocol.

    >>> from torch import nn
    >>> class Remark(nn.Module):
    ...     notes = ("weights of unknown origin",)
    >>> isinstance(Remark(), Noted)
    True
    """

    notes: Sequence[str]
    """Phrases without a period at their end."""


def notes_of(module: nn.Module) -> tuple[str, ...]:
    """The notes of all parts of `module` that have some, each once.

    Args:
        module: a loss, or anything that holds losses.

    Example:
        >>> from torch import nn
        >>> class Remark(nn.Module):
        ...     notes = ("weights of unknown origin",)
        >>> notes_of(nn.Sequential(Remark(), Remark()))
        ('weights of unknown origin',)
    """
    return tuple(
        dict.fromkeys(note for part in module.modules() if isinstance(part, Noted) for note in part.notes)
    )


@runtime_checkable
class Checkable(Protocol):
    """A loss's module that can check in advance whether `Preparable.prepare` would fail.

    A run calls it before it starts processes, so that a missing or incomplete file is reported at once.

    >>> from torch import nn
    >>> class Weighted(nn.Module):
    ...     def check_preparation(self) -> None:
    ...         assert self.file.is_file()
    >>> isinstance(Weighted(), Checkable)
    True
    """

    def check_preparation(self) -> None:
        """Look at what `prepare` will need, without fetching or measuring anything.

        Raises:
            RestoreError: something is missing or does not fit.
        """
        ...


def check_preparation(module: nn.Module) -> None:
    """Check all parts of `module` that are `Checkable`.

    Args:
        module: a loss, or a module that contains losses.

    Raises:
        RestoreError: a part raised it.

    Example:
        >>> from torch import nn
        >>> check_preparation(nn.L1Loss())  # needs nothing
    """
    for part in module.modules():
        if isinstance(part, Checkable):
            part.check_preparation()


class FeatureNetwork(Protocol):
    """A frozen network whose features losses compare.

    >>> import torch
    >>> from torch import nn
    >>> class Pooling:
    ...     key = "pooling"
    ...     def __call__(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
    ...         return {layer: nn.functional.avg_pool2d(images, int(layer)) for layer in layers}
    >>> network: FeatureNetwork = Pooling()
    >>> network(torch.rand(1, 3, 8, 8), ["2"])["2"].shape
    torch.Size([1, 3, 4, 4])
    """

    key: Hashable
    """Networks with equal keys give equal features: an objective keeps one of them."""

    def __call__(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """``(B, 3, H, W)`` to the features at each of `layers`, in one pass."""
        ...


@runtime_checkable
class FeatureLoss(Protocol):
    """What a loss's module has besides if it compares features instead of pixels.

    Losses with networks of one key share a single pass through it for each image, and the target's
    features carry no gradient. Called with images, as any loss, the module gives the same value.

    >>> from torch import nn
    >>> class FirstLayer(nn.Module):
    ...     network = None  # a `FeatureNetwork`
    ...     layers = ("conv1",)
    ...     def compare(self, restored: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    ...         return (restored["conv1"] - target["conv1"]).square().mean()
    >>> isinstance(FirstLayer(), FeatureLoss)
    True
    """

    network: FeatureNetwork
    """An objective replaces it by an equal one that it shares."""
    layers: Collection[str]
    """The layers of the network that it compares."""

    def compare(self, restored: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """One scalar from the features at its `layers`; others may be there.

        What the loss asks for besides the images is passed by keyword, as to the module itself.
        """
        ...
