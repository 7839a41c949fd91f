"""The rule by which ``auto`` chooses models, built from the weights that declare a task."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TypeVar

from restore.checkpoint import default_scale, working_scale
from restore.errors import UsageError
from restore.estimation.results import VISIBLE_BLUR, VISIBLE_NOISE, VISIBLE_QUALITY
from restore.inference.choosing import BEST_QUALITY, RuleRow
from restore.interfaces import Task, Weights
from restore.registry import ModelReference, Registry

__all__ = ["fingerprint", "removing", "rule"]

T = TypeVar("T")

_REMOVAL: Mapping[str, Task] = {"quality": "deblock", "sigma": "denoise"}
"""The number that describes a degradation -> what removes it, in the order in which they work."""
_SMALL_NOISE = 6.0
"""As `VISIBLE_NOISE`, for images that are enlarged, of which most are small and have finer texture.

The lowest limit at which 95 % of clean training photos, downscaled 4x, are treated as clean."""


def rule(registry: Registry, scale: float | None = None) -> tuple[RuleRow, ...]:
    """The rule for one scale, made of the `Weights` in the registry that declare a task.

    An image is enlarged with weights that were trained on images as degraded as it is, and of several with
    those that were trained on the least degradation. Where there are none, what removes the degradation comes
    before the weights for clean images. At scale 1 there is only removal. Of weights for equal images, those
    of the smallest scale count, then the first.

    Blur counts where some weights were trained on it: they are for blurred images, the others for sharp ones.
    Images that are more compressed or noisy than those for blur allow are treated like sharp ones.

    Args:
        registry: the known models.
        scale: output pixels per input pixel along one side; `None` is that of the weights for clean images.

    Returns:
        Rows for `choose`; the last one suits every image.

    Raises:
        UsageError: no weights with the task are known, or none reaches the scale.

    Example:
        >>> from restore.registry import discover
        >>> [row.model for row in rule(discover(), scale=1)]
        ['', 'ffdnet:jpeg', 'ffdnet:noise', 'ffdnet:jpeg+ffdnet:noise']
    """
    removal = _removal(registry)
    if scale == 1:
        missing = [task for task in _REMOVAL.values() if task not in removal]
        if missing:
            raise _none(missing[0])
        return _needed([RuleRow("", VISIBLE_QUALITY + 1, VISIBLE_NOISE), *_chains(removal, VISIBLE_NOISE)])
    enlarging = _enlarging(registry, scale)
    rows = _within_limits(enlarging)
    removed = _chains(removal, _SMALL_NOISE, f"+{next(iter(enlarging))}")
    return _needed([*rows, *removed, *_beyond_limits(enlarging)])


def removing(numbers: Mapping[str, T], registry: Registry) -> tuple[str, dict[str, T]]:
    """The model that removes certain degradations, whatever an image looks like.

    Args:
        numbers: ``quality``, ``sigma`` or both, each with its value for the network.
        registry: the known models.

    Returns:
        The model, a chain of two, and its options.

    Raises:
        UsageError: no weights for it are known.

    Example:
        >>> from restore.registry import discover
        >>> removing({"sigma": 15, "quality": 40}, discover())
        ('ffdnet:jpeg+ffdnet:noise', {'ffdnet.quality': 40, 'ffdnet#2.sigma': 15})
    """
    removal = _removal(registry)
    names = [name for name in _REMOVAL if name in numbers]
    for name in names:
        if _REMOVAL[name] not in removal:
            raise _none(_REMOVAL[name])
    model = "+".join(removal[_REMOVAL[name]] for name in names)
    labels = ModelReference.parse(model).labels
    return model, {f"{label}.{name}": numbers[name] for label, name in zip(labels, names, strict=True)}


def fingerprint(rows: Sequence[RuleRow]) -> str:
    """Eight hexadecimal digits that change with the rule."""
    return hashlib.sha256(repr(tuple(rows)).encode()).hexdigest()[:8]


def _weights(registry: Registry) -> Iterator[tuple[str, Weights]]:
    """Each set of weights that declares a task, with its reference."""
    for name, spec in registry.models.items():
        yield from ((f"{name}:{weights.name}", weights) for weights in spec.weights if weights.task)


def _removal(registry: Registry) -> dict[Task, str]:
    """Task -> the first weights for it."""
    return {
        task: next(model for model, weights in _weights(registry) if weights.task == task)
        for task in _REMOVAL.values()
        if any(weights.task == task for _, weights in _weights(registry))
    }


def _chains(removal: Mapping[Task, str], noise: float, then: str = "") -> list[RuleRow]:
    """A row for each degradation that can be removed, and for all of them together.

    Args:
        removal: from `_removal`.
        noise: below this an image has none.
        then: the rest of the chain.
    """
    tasks = [task for task in _REMOVAL.values() if task in removal]
    return [
        RuleRow(
            "+".join(removal[task] for task in some) + then,
            quality=1 if "deblock" in some else VISIBLE_QUALITY + 1,
            noise=math.inf if "denoise" in some else noise,
        )
        for count in range(1, len(tasks) + 1)
        for some in combinations(tasks, count)
    ]


def _enlarging(registry: Registry, scale: float | None) -> dict[str, Weights]:
    """The weights that can enlarge by `scale`, in the order of the blur and degradation they were trained on.

    Raises:
        UsageError: there are none.
    """
    found: dict[str, Weights] = {}
    refusal = _none("enlarge")
    for model, weights in _weights(registry):
        if weights.task != "enlarge":
            continue
        parsed = ModelReference.parse(model)
        try:
            at = working_scale(model, registry, scale) or default_scale(
                registry.models[parsed.name], parsed.weights
            )
        except UsageError as error:
            refusal = error
            continue
        if weights.scale == at:
            found[model] = weights
    if not found:
        raise refusal
    ordered = dict(
        sorted(found.items(), key=lambda item: (_blur(item[1]), _degradation(item[1]), item[1].scale))
    )
    if scale is None:
        first = next(iter(ordered.values())).scale
        ordered = {model: weights for model, weights in ordered.items() if weights.scale == first}
    return ordered


def _within_limits(enlarging: Mapping[str, Weights]) -> list[RuleRow]:
    """The rows for images such as some weights were trained on, from those of `_enlarging`."""
    blurs = {model: _blur(weights) for model, weights in enlarging.items()}
    most = max(blurs.values())
    rows = [
        RuleRow(
            model,
            quality=min(weights.lowest_quality or 1, VISIBLE_QUALITY + 1),
            noise=max(weights.highest_noise or 0, _SMALL_NOISE),
            blur=math.inf if blurs[model] == most else max(blurs[model], VISIBLE_BLUR),
        )
        for model, weights in enlarging.items()
    ]
    # The blur remains where the weights for it are not for such compression and noise.
    return rows + [replace(row, blur=math.inf) for row in sorted(rows, key=lambda row: -blurs[row.model])]


def _beyond_limits(enlarging: Mapping[str, Weights]) -> list[RuleRow]:
    """The rows for all other images: with the weights that were trained on the most degradation."""

    def strongest(sign: int) -> str:
        return max(
            enlarging, key=lambda model: (_degradation(enlarging[model]), sign * _blur(enlarging[model]))
        )

    return [RuleRow(strongest(-1), blur=VISIBLE_BLUR), RuleRow(strongest(1))]


def _degradation(weights: Weights) -> tuple[float, ...]:
    """How noisy and compressed the images were that weights were trained on, to be compared."""
    noise, loss = weights.highest_noise or 0.0, BEST_QUALITY - (weights.lowest_quality or 1)
    return (bool(noise) + bool(loss), noise, loss)


def _blur(weights: Weights) -> float:
    """The largest blur of the images that weights were trained on; 0 if it could not be seen."""
    return weights.highest_blur if weights.highest_blur >= VISIBLE_BLUR else 0.0


def _needed(rows: Sequence[RuleRow]) -> tuple[RuleRow, ...]:
    """The rows without those that change no choice.

    All images of such a row suit an earlier row, or the next one, which has the same model.
    """
    reached = [row for index, row in enumerate(rows) if not any(other.covers(row) for other in rows[:index])]
    pairs = zip(reached, [*reached[1:], None], strict=True)
    return tuple(
        row for row, after in pairs if after is None or after.model != row.model or not after.covers(row)
    )


_NAMES: Mapping[Task, str] = {
    "deblock": "remove compression",
    "denoise": "remove noise",
    "enlarge": "enlarge",
}


def _none(task: Task) -> UsageError:
    return UsageError(
        f"none of the weights that 'auto' chooses from can {_NAMES[task]}", hint="name a model with `model`"
    )
