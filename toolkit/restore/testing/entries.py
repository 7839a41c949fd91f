"""Checks of options and weights, which all kinds of entries share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from restore.checkpoint import load_model, read_card, sha256
from restore.errors import RestoreError
from restore.interfaces import ModelSpec, Options, Weights
from restore.registry import Registry
from restore.testing.check import Check, check, expect

__all__ = ["options_checks", "weights_checks"]


def options_checks(spec: Any) -> list[Check]:
    """Return the checks of an entry's options; none for an entry without options.

    >>> from restore.registry import discover
    >>> for check in options_checks(discover().optimizers["adam"]):
    ...     print(check)
    optimizer adam: options are documented
    optimizer adam: options have defaults
    """
    schema = getattr(spec, "options", None)
    if not (isinstance(schema, type) and issubclass(schema, Options)) or schema is Options:
        return []
    claims = (_options_are_documented, _options_have_defaults)
    return [
        check(f"{type(spec).__name__.removesuffix('Spec').lower()} {spec.name}", claim, schema)
        for claim in claims
    ]


def weights_checks(spec: ModelSpec, registry: Registry) -> list[Check]:
    """Return the checks of a model's pretrained weights. Nothing is downloaded.

    Args:
        spec: the model.
        registry: a registry with the model.

    Example:
        >>> from restore.registry import discover
        >>> registry = discover()
        >>> for check in weights_checks(registry.models["enhancenet"], registry)[:3]:
        ...     print(check)
        weights enhancenet:pat 4x: weights are licensed
        weights enhancenet:pat 4x: weights are hashed
        weights enhancenet:pat 4x: weights load
    """
    return [
        check(f"weights {spec.name}:{weights.name} {weights.scale}x", claim, spec, weights, registry)
        for weights in spec.weights
        for claim in (_weights_are_licensed, _weights_are_hashed, _weights_load)
    ]


def _options_are_documented(schema: type[Options]) -> None:
    silent = [name for name, field in schema.model_fields.items() if not (field.description or "").strip()]
    expect(
        not silent,
        f"these have no description: {', '.join(silent)}; write each as "
        f'Field(DEFAULT, description="what it is, with its unit")',
    )


def _options_have_defaults(schema: type[Options]) -> None:
    demanding = [name for name, field in schema.model_fields.items() if field.is_required()]
    expect(not demanding, f"give a default to {', '.join(demanding)}: an entry has to work without options")


def _weights_are_licensed(spec: ModelSpec, weights: Weights, registry: Registry) -> None:  # noqa: ARG001
    expect(weights.license.strip(), "the license is empty: name the license of the weights")
    expect(weights.trained.strip(), "`trained` is empty: describe data, objective and steps")


def _weights_are_hashed(spec: ModelSpec, weights: Weights, registry: Registry) -> None:  # noqa: ARG001
    expect(
        re.fullmatch(r"[0-9a-f]{64}", weights.sha256),
        f"sha256 is {weights.sha256!r}: set it to the 64 digits that 'sha256sum FILE' prints",
    )
    if isinstance(weights.source, Path):
        expect(weights.source.is_file(), f"there is no file '{weights.source}': is it in the wheel?")
        found = sha256(weights.source)
        expect(found == weights.sha256, f"the SHA-256 of '{weights.source}' is {found}, not {weights.sha256}")
    else:
        secure = weights.source.startswith("https://")
        expect(secure, f"'{weights.source}' is neither a file nor an https address")


def _weights_load(spec: ModelSpec, weights: Weights, registry: Registry) -> None:
    if not isinstance(weights.source, Path):
        return
    try:
        if spec.open is None:
            card = read_card(weights.source)
            expect(card.scale == weights.scale, f"the file is for {card.scale}x, not for {weights.scale}x")
        load_model(f"{spec.name}:{weights.name}", registry, weights.scale)
    except RestoreError as error:
        expect(False, str(error))
