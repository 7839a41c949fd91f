"""Load a model by name, or a restorer that chooses one for each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, overload

from restore.checkpoint import check_reference as check
from restore.checkpoint import load_model, working_scale
from restore.choices import Alpha, Engine, Precision
from restore.errors import UsageError
from restore.inference.auto import AnyRestorer, AutoRestorer
from restore.inference.choosing import AUTO, RuleRow
from restore.inference.conditions import check_strength
from restore.inference.restorer import Restorer
from restore.inference.rules import rule
from restore.inference.tiles import TileSize
from restore.registry import Registry, discover

__all__ = ["check_reference", "load", "load_at"]


@overload
def load(  # type: ignore[overload-overlap]  # a text that is not known before the program runs may be "auto"
    reference: Literal["auto"],
    *,
    scale: float | None = None,
    options: None = None,
    device: str = "auto",
    precision: Precision = "auto",
    tile: TileSize = "auto",
    engine: Engine = "torch",
    alpha: Alpha = "bicubic",
    strength: float = 1.0,
    self_ensemble: bool = False,
    registry: Registry | None = None,
) -> AutoRestorer: ...


@overload
def load(
    reference: str = "enhancenet",
    *,
    scale: float | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    tile: TileSize = "auto",
    engine: Engine = "torch",
    alpha: Alpha = "bicubic",
    strength: float = 1.0,
    self_ensemble: bool = False,
    registry: Registry | None = None,
) -> Restorer: ...


def load(  # noqa: PLR0913 - every choice that a user has
    reference: str = "enhancenet",
    *,
    scale: float | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    tile: TileSize = "auto",
    engine: Engine = "torch",
    alpha: Alpha = "bicubic",
    strength: float = 1.0,
    self_ensemble: bool = False,
    registry: Registry | None = None,
) -> Restorer | AutoRestorer:
    """Load a model by name, ready for use.

    Args:
        reference: ``NAME[:WEIGHTS]``, such as ``bicubic``, ``enhancenet:e`` or ``enhancenet:FILE``; a chain,
            such as ``dncnn:FILE+bicubic``; or ``auto``, which chooses a model for each image by its
            compression, noise and blur: one that enlarges, or with ``scale=1`` one that cleans.
        scale: output pixels per input pixel along one side, also a fraction. Where the model lacks it, the
            next larger one that it has is downscaled. `None` takes that of the weights, or 4.
        options: options other than those of the weights, and numbers that the network takes beside the image
            (``auto``, the default, estimates them); for the parts of a chain as ``NAME.OPTION``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto`` is bfloat16 where the hardware has it; ``fp32`` is the most exact.
        tile: longest side of a tile in input pixels, ``auto`` or ``off``.
        engine: ``torch``, ``openvino`` or ``onnxruntime``.
        alpha: how transparency is enlarged: ``bicubic`` or ``model``.
        strength: how much of the estimated noise and compression to remove: 1 is all of it, 0.5 half.
        self_ensemble: average the results for eight flips and rotations, see `restore.inference.ensemble`.
        registry: `None` discovers the installed plugins.

    Raises:
        UsageError: there is no such model, weights, scale or device, nothing that `strength` applies to, the
            options do not fit the weights, or the engine is not installed or cannot run the model.
        OptionsError: an option is unknown or not valid.
        WeightsError: a weights file is missing or damaged, or belongs to another model.

    Example:
        >>> import numpy as np
        >>> load("bicubic", scale=2.5).upscale(np.zeros((4, 8, 3), np.uint8)).shape
        (10, 20, 3)
    """
    registry = registry or discover()
    restorer = partial(Restorer, device=device, precision=precision, tile=tile, engine=engine, alpha=alpha)
    if reference == AUTO:
        return _choosing(registry, scale, options, strength, partial(restorer, self_ensemble=self_ensemble))
    model = load_model(reference, registry, working_scale(reference, registry, scale), options)
    return restorer(model, scale=scale, strength=strength, self_ensemble=self_ensemble)


def check_reference(reference: str, registry: Registry, scale: int | None = None) -> int | None:
    """`restore.checkpoint.check_reference`, also of ``auto``.

    Raises:
        UsageError: as there, or ``auto`` has no weights to choose from at this scale.
    """
    if reference != AUTO:
        return check(reference, registry, scale)
    rows = rule(registry, scale)
    return scale or _own_scale(rows, registry)


def load_at(
    reference: str,
    registry: Registry,
    scale: int | None = None,
    options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AnyRestorer:
    """Load a model, or ``auto``, to be measured: a model that is named has to work at `scale` itself.

    Args:
        reference: as for `load`.
        registry: the known models.
        scale: output pixels per input pixel along one side; `None` is that of the model.
        options: as for `load`.
        settings: other arguments of `load`.

    Raises:
        RestoreError: as for `load`.
    """
    if reference == AUTO:
        return load(AUTO, scale=scale, options=options or None, registry=registry, **settings)
    return Restorer(load_model(reference, registry, scale, options), **settings)


def _own_scale(rows: Sequence[RuleRow], registry: Registry) -> int:
    return check(rows[0].model, registry) or 1


def _choosing(
    registry: Registry,
    scale: float | None,
    options: Mapping[str, Any] | None,
    strength: float,
    restorer: Callable[..., Restorer],
) -> AutoRestorer:
    if options:
        raise UsageError("options belong to a model, and 'auto' chooses one", hint="name it with `model`")
    check_strength(strength)
    rows = rule(registry, scale)
    output_scale = scale or _own_scale(rows, registry)

    def load(reference: str) -> Restorer:
        model = load_model(reference, registry, working_scale(reference, registry, output_scale))
        estimates = "auto" in model.conditions.values()
        return restorer(model, scale=output_scale, strength=strength if estimates else 1.0)

    return AutoRestorer(rows, load, output_scale)
