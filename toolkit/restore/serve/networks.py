"""The models that a server offers, loaded when they are needed."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch

from restore.checkpoint import load_model, working_scale
from restore.errors import UnknownNameError, nearest
from restore.inference import AnyRestorer, check_reference, load
from restore.inference.choosing import AUTO
from restore.inference.rules import rule
from restore.interfaces import Weights
from restore.registry import ModelReference, Registry
from restore.serve.schema import JobOptions, ModelView

__all__ = ["RestorerCache"]

_REFERENCE = re.compile(r"[\w.-]+(:[\w.-]+)?(\+[\w.-]+(:[\w.-]+)?)*")
_KEPT = 8
"""Restorers that stay loaded; the one that was not used for the longest time is dropped."""

Key = tuple[str, float | None, float]


class RestorerCache:
    """Loads restorers by name and keeps them. Safe to use from several threads.

    Only models with weights that a plugin brings are offered: a name from outside never becomes the path of
    a file.

    Args:
        registry: the known models.
        settings: arguments of `restore.inference.load` for all models: device, precision, tile and engine.

    Example:
        >>> from restore.registry import discover
        >>> networks = RestorerCache(discover(), {"device": "cpu"})
        >>> networks.check(JobOptions(model="bicubic", scale=2))
        >>> [model.name for model in networks.offered if model.purpose == "auto"]
        ['auto']
    """

    def __init__(self, registry: Registry, settings: Mapping[str, Any] | None = None) -> None:
        self._registry = registry
        self._settings = dict(settings or {})
        self._loaded: OrderedDict[Key, AnyRestorer] = OrderedDict()
        self._lock = threading.Lock()
        self.offered = [
            ModelView(
                name=AUTO,
                title="Automatic",
                summary="Looks at each photo and chooses the model that it needs. Right for most photos.",
                purpose="auto",
                strength=True,
                scales=None,
                license="",
            ),
            *_offered(registry),
        ]
        self._titles = {model.name: model.title for model in self.offered}
        # Without the name of weights, a model uses its default weights, as on the command line.
        self._names = {*self._titles, *(ModelReference.parse(name).name for name in self._titles)}

    def check(self, options: JobOptions) -> None:
        """Check options before a job is accepted.

        Raises:
            UnknownNameError: the model is not offered.
            UsageError: it does not have this scale.
        """
        names = _parts(options.model) if _REFERENCE.fullmatch(options.model) else [options.model]
        for name in names:
            if name not in self._names or (name == AUTO and len(names) > 1):
                raise UnknownNameError(
                    f"there is no model '{name}'.{nearest(name, self._names)} See /api/models"
                )
        if options.model == AUTO:
            rule(self._registry, options.scale)
        else:
            scale = working_scale(options.model, self._registry, options.scale)
            check_reference(options.model, self._registry, scale)

    def restorer(self, options: JobOptions) -> AnyRestorer:
        """Return the restorer of a job; load it if necessary.

        Raises:
            RestoreError: as for `restore.inference.load`.
        """
        key = (options.model, options.scale, options.strength)
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = load(
                    options.model,
                    scale=options.scale,
                    strength=options.strength,
                    registry=self._registry,
                    **self._settings,
                )
            self._loaded.move_to_end(key)
            while len(self._loaded) > _KEPT:
                self._loaded.popitem(last=False)
            return self._loaded[key]

    def scale(self, model: str) -> float:
        """Return the default scale of a model that is offered."""
        return check_reference(model, self._registry) or 4

    def title(self, model: str) -> str:
        """Return the title of a model on the page; for a chain, the titles of its models."""
        return " + ".join(self._titles.get(part, part) for part in _parts(model))

    def drop(self) -> bool:
        """Drop the restorer that was not used for the longest time, unless it is the only one."""
        with self._lock:
            if len(self._loaded) < 2:
                return False
            self._loaded.popitem(last=False)
            return True

    @property
    def count(self) -> int:
        """The number of loaded restorers."""
        return len(self._loaded)


def _parts(model: str) -> list[str]:
    """Return the references of the models of a chain, or of the one model."""
    return [str(part) for part in ModelReference.parse(model).parts]


def _offered(registry: Registry) -> list[ModelView]:
    """Return the models that need no file of the user, one for each name of their weights."""
    found = []
    for name, spec in sorted(registry.models.items()):
        # Building all networks without weights would take seconds; those of any scale have no parameters.
        if spec.open is not None or (not spec.weights and spec.scales is not None):
            continue
        first: dict[str, Weights | None] = {}
        for one in spec.weights:
            first.setdefault(f"{name}:{one.name}", one)
        for reference, weights in (first or {name: None}).items():
            try:
                scale = check_reference(reference, registry)
                if weights is None:
                    with torch.device("meta"):  # fails for models that have to be trained first
                        load_model(reference, registry)
            except Exception:  # noqa: S112 - what cannot be built is not offered
                continue
            title = (weights and weights.title) or f"{reference[0].upper()}{reference[1:]}"
            summary = f"{spec.summary}; {weights.trained}" if weights is not None else spec.summary
            found.append(
                ModelView(
                    name=reference,
                    title=title,
                    summary=(weights and weights.summary) or summary,
                    purpose="clean" if scale == 1 else "enlarge",
                    strength=bool(spec.conditions),
                    scales=None if weights is None else sorted(spec.weights_scales(weights.name)),
                    license="" if weights is None else weights.license,
                )
            )
    return found
