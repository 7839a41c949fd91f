"""The terms of an objective as one module."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from restore.errors import RestoreError, UsageError, first_line, nearest
from restore.interfaces import (
    FeatureLoss,
    FeatureNetwork,
    GeneratorFeatures,
    ObjectiveSpec,
    Preparable,
    Term,
    parse,
)
from restore.registry import Registry

__all__ = ["Objective", "captured", "check_layers", "described"]


class Objective(nn.Module):
    """The weighted terms of an objective without its adversaries.

    Terms that compare features of one network share a single pass through it for each image.

    Args:
        spec: the recipe.
        registry: where to look for its losses.
        shift: pixels by which images are shifted at most before they are given to a shared network, in
            another way at each step. What is shifted out at one side comes in at the other.

    Raises:
        UnknownNameError: no such loss.
        OptionsError: an option of a loss is wrong.
    """

    def __init__(self, spec: ObjectiveSpec, registry: Registry, shift: int = 0) -> None:
        super().__init__()
        self._places = shift + 1  # along each axis
        self.terms = spec.terms
        self._inputs = [registry.losses[term.loss].inputs for term in spec.terms]
        self.losses = nn.ModuleList(_built(term, registry) for term in spec.terms)
        self.eval()
        for loss in self.losses:
            loss.train(_is_trained(loss))
        self._networks: dict[Hashable, FeatureNetwork] = {}
        self._layers: dict[Hashable, set[str]] = {}
        for loss in self.losses:
            if isinstance(loss, FeatureLoss):
                loss.network = self._networks.setdefault(loss.network.key, loss.network)
                self._layers.setdefault(loss.network.key, set()).update(loss.layers)

    @property
    def is_trained(self) -> bool:
        """Whether a loss has parameters that are trained with the generator."""
        return any(map(_is_trained, self.losses))

    @property
    def measurements(self) -> list[Tensor]:
        """The buffers of the losses that a checkpoint keeps, of floating-point numbers."""
        buffers = dict(self.named_buffers())
        kept = [tensor for name, tensor in self.state_dict().items() if name in buffers]
        return [tensor for tensor in kept if tensor.is_floating_point()]

    @property
    def generator_layers(self) -> set[str]:
        """The submodules of the generator whose outputs a term asks for.

        Raises:
            UsageError: a loss asks for features and does not say of which layers.
        """
        layers: set[str] = set()
        for term, inputs, loss in zip(self.terms, self._inputs, self.losses, strict=True):
            if "features" not in inputs:
                continue
            if not isinstance(loss, GeneratorFeatures):
                raise UsageError(f"the loss '{term.loss}' asks for features and has no `generator_layers`")
            layers.update(loss.generator_layers)
        return layers

    def forward(
        self,
        restored: Tensor,
        target: Tensor,
        *,
        degraded: Tensor | None = None,
        step: int = 0,
        features: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Compute the weighted scalar of each term, by label.

        Args:
            restored: ``(B, 3, scale*h, scale*w)``.
            target: of the same shape.
            degraded: ``(B, 3, h, w)``, for the terms that ask for it.
            step: updates done so far.
            features: the outputs of `generator_layers`.
        """
        with torch.no_grad():
            of_target = self._features(self._shifted(target, step))
        of_restored = self._features(self._shifted(restored, step))
        given: dict[str, Any] = {"degraded": degraded, "step": step, "features": features}
        values = {}
        for term, inputs, loss in zip(self.terms, self._inputs, self.losses, strict=True):
            others = {name: given[name] for name in inputs if name in given}
            if isinstance(loss, FeatureLoss):
                key = loss.network.key
                value = loss.compare(of_restored[key], of_target[key], **others)
            else:
                value = loss(*((restored, target) if "target" in inputs else (restored,)), **others)
            values[term.label] = term.weight * value
        return values

    def check(self, restored: Tensor, target: Tensor, **given: Any) -> None:
        """Call each loss that needs no preparation once, on a copy whose state may change.

        Args:
            restored: ``(B, 3, H, W)``.
            target: of the same shape.
            given: as to `forward`.

        Raises:
            UsageError: a loss fails, or gives something else than one scalar.
        """
        for term, inputs, loss in zip(self.terms, self._inputs, self.losses, strict=True):
            if any(isinstance(part, Preparable) for part in loss.modules()):
                continue
            images = (restored, target) if "target" in inputs else (restored,)
            try:
                value = copy.deepcopy(loss)(
                    *images, **{name: given[name] for name in inputs if name in given}
                )
            except RestoreError:
                raise
            except Exception as error:  # whatever the code of a plugin can raise
                raise UsageError(
                    f"the loss '{term.loss}' fails on patches of {target.shape[-1]} pixels "
                    f"({type(error).__name__}: {first_line(error)})"
                ) from error
            if not isinstance(value, Tensor) or value.ndim:
                raise UsageError(f"the loss '{term.loss}' gives {described(value)}, not one scalar")

    def _shifted(self, images: Tensor, step: int) -> Tensor:
        """Images at one of the ``(shift + 1)^2`` places, which all come up equally often."""
        if self._places == 1:
            return images
        row, column = divmod(step % self._places**2, self._places)
        return images.roll((row, (column + row) % self._places), (-2, -1))

    def _features(self, images: Tensor) -> dict[Hashable, dict[str, Tensor]]:
        return {key: network(images, self._layers[key]) for key, network in self._networks.items()}


@contextmanager
def captured(generator: nn.Module, layers: set[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of submodules of `generator` while the block runs.

    Args:
        generator: the network.
        layers: names as in ``generator.named_modules()``.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        >>> with captured(network, {"0"}) as features:
        ...     _ = network(torch.zeros(1, 3, 8, 8))
        >>> features["0"].shape
        torch.Size([1, 8, 6, 6])
    """
    features: dict[str, Tensor] = {}
    with ExitStack() as stack:
        modules = dict(generator.named_modules()) if layers else {}
        for layer in sorted(layers):

            def keep(_module: nn.Module, _inputs: Any, output: Tensor, layer: str = layer) -> None:
                features[layer] = output

            stack.callback(modules[layer].register_forward_hook(keep).remove)
        yield features


def check_layers(generator: nn.Module, layers: set[str]) -> None:
    """Refuse layers that the generator does not have.

    Raises:
        UsageError: names the layer, and the nearest one.
    """
    known = [name for name, _ in generator.named_modules() if name]
    for layer in sorted(layers):
        if layer not in known:
            raise UsageError(
                f"a loss asks for features of the layer '{layer}', which the generator does not "
                f"have.{nearest(layer, known)}"
            )


def described(value: object) -> str:
    """Describe a tensor by its shape and anything else by its type, for messages.

    >>> described(torch.zeros(2, 1)), described([torch.zeros(2)]), described(1.0)
    ('a tensor (2, 1)', 'a list of a tensor (2,)', 'a float')
    """
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, list | tuple) and value:
        return f"a {type(value).__name__} of {described(value[0])}"
    return f"a {type(value).__name__}"


def _is_trained(loss: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in loss.parameters())


def _built(term: Term, registry: Registry) -> nn.Module:
    spec = registry.losses[term.loss]
    return spec.build(parse(spec.options, term.options, f"loss '{term.loss}'"))
