"""`restore list` and `restore info`: what is installed, without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from restore.cli import console, options
from restore.errors import UnknownNameError, escaped, nearest
from restore.interfaces import Gate, ModelSpec, ObjectiveSpec, Options
from restore.registry import KINDS, Catalog, EntryKind, ModelReference, PluginStatus, Registry, discover
from restore.report import plain_table

__all__ = ["info", "list_entries"]


def list_entries(*, json: options.Json = False) -> None:
    """List models, losses, metrics and all other entries."""
    registry = discover()
    if json:
        for kind in KINDS:
            for name in registry.catalog(kind):
                console.emit(_brief(registry, kind, name))
        for status in registry.plugins:
            console.emit(_plugin(status))
        return
    blocks = [_block(registry, kind) for kind in KINDS if registry.catalog(kind)]
    typer.echo("\n\n".join(blocks))
    idle = [status for status in registry.plugins if status.state in ("disabled", "unavailable")]
    for status in idle:
        console.message(f"note: plugin {status.plugin.owner} is {status.state}: {status.reason}")
    console.report_problems(registry)


def info(
    name: Annotated[str, typer.Argument(help="Name of an entry, or an image or weights file.")],
    *,
    json: options.Json = False,
) -> None:
    """Describe an entry, an image or a weights file.

    An entry: options, scales, weights, source. An image: JPEG quality, noise, blur, earlier enlargement.
    Weights, as FILE or MODEL:FILE: architecture, scale, parameters, training.
    """
    registry = console.discovered()
    given = Path(name)
    reference = ModelReference.parse(name)
    name = reference.name  # other commands take NAME:WEIGHTS
    found = [kind for kind in KINDS if name in registry.catalog(kind)]
    if name in registry.models and (file := reference.file(registry.models[name])) is not None:
        _show_weights(file, registry, name, json=json)
        return
    if not found and given.is_file():
        if given.suffix.lower() in (".safetensors", ".pth", ".pt", ".ckpt"):
            _show_weights(given, registry, json=json)
        else:
            _show_image(given, json=json)
        return
    if not found:
        known = sorted({entry for kind in KINDS for entry in registry.catalog(kind)})
        raise UnknownNameError(
            f"there is no entry '{escaped(name)}'.{nearest(name, known)} See 'restore list'"
        )
    details = [_detail(registry, kind, name) for kind in found]
    if json:
        for detail in details:
            console.emit(detail)
    else:
        typer.echo("\n\n".join(_text(detail) for detail in details))


def _show_image(path: Path, *, json: bool) -> None:
    from restore import images  # these import torch, which entries do not need
    from restore.estimation import estimate

    photo = images.read(path)
    found = estimate(photo, path)
    height, width = photo.color.shape[-2:]
    if json:
        console.emit(
            {"kind": "image", "name": str(path), "width": width, "height": height, **found.to_json()}
        )
    else:
        lines = [f"image {escaped(str(path))}: {width}x{height}", *found.to_text()]
        typer.echo("\n  ".join(lines))


def _show_weights(file: Path, registry: Registry, model: str = "", *, json: bool) -> None:
    from restore.checkpoint import inspect_weights  # imports torch

    info = inspect_weights(file, registry, model)
    if json:
        console.emit({"kind": "weights", "name": str(file), **info.to_json()})
        return
    found = info.to_json() | {"parameters": f"{info.parameters:,}"}
    shown = {key: value for key, value in found.items() if value not in ("", None, [], {})}
    lines = [line for key, value in shown.items() for line in _lines(key, value, "  ")]
    typer.echo("\n".join([f"weights {escaped(str(file))}", *lines]))


def _block(registry: Registry, kind: EntryKind) -> str:
    catalog = registry.catalog(kind)
    titles, rows = [kind.catalog, "", "plugin"], list[list[str]]()
    for name, entry in sorted(catalog.items()):
        rows.append([name, entry.summary, catalog.owner(name).name])
        if isinstance(entry, ModelSpec):
            rows[-1].insert(2, entry.listed_weights() if entry.weights else "")
    if kind.entry is ModelSpec:
        titles.insert(2, "weights")
    return plain_table(titles, rows)


def _brief(registry: Registry, kind: EntryKind, name: str) -> dict[str, Any]:
    catalog = registry.catalog(kind)
    owner, entry = catalog.owner(name), catalog[name]
    brief = {
        "kind": kind.name,
        "name": name,
        "summary": entry.summary,
        "plugin": owner.name,
        "distribution": owner.distribution,
        "version": owner.version,
    }
    if isinstance(entry, ModelSpec):
        brief["weights"] = [{"name": weights.name, "scale": weights.scale} for weights in entry.weights]
    return brief


def _plugin(status: PluginStatus) -> dict[str, Any]:
    return {
        "kind": "plugin",
        "name": status.plugin.name,
        "distribution": status.plugin.distribution,
        "version": status.plugin.version,
        "state": status.state,
        "reason": status.reason,
    }


def _detail(registry: Registry, kind: EntryKind, name: str) -> dict[str, Any]:
    entry = registry.catalog(kind)[name]
    detail = _brief(registry, kind, name) | {"reference": getattr(entry, "reference", "")}
    if hasattr(entry, "options"):
        detail["options"] = _options(entry.options)
    if kind.name == "model":
        detail["scales"] = list(entry.scales) if entry.scales else "any"
        detail["weights"] = [
            {
                "name": weights.name,
                "scale": weights.scale,
                "source": str(weights.source),
                "sha256": weights.sha256,
                "license": weights.license,
                "trained": weights.trained,
                "metrics": dict(weights.metrics),
            }
            for weights in entry.weights
        ]
    if kind.name == "objective":
        detail |= _recipe(registry, entry)
    return detail


def _options(schema: type[Options]) -> dict[str, Any]:
    fields = schema.model_json_schema().get("properties", {})
    return {
        key: {"default": value.get("default"), "description": value.get("description", "")}
        for key, value in fields.items()
    }


def _recipe(registry: Registry, entry: ObjectiveSpec) -> dict[str, Any]:
    """The terms and the adversaries of an objective, with all of their options."""
    return {
        "terms": [
            {
                "label": term.label,
                "loss": term.loss,
                "weight": term.weight,
                "options": _resolved(registry.losses, term.loss, term.options),
            }
            for term in entry.terms
        ],
        "adversaries": [
            {
                "label": each.label,
                "weight": each.weight,
                "loss": each.loss,
                "loss_options": _resolved(registry.adversarial_losses, each.loss, each.loss_options),
                "discriminator": each.discriminator,
                "options": _resolved(registry.discriminators, each.discriminator, each.options),
                "gate": {type(each.gate).__name__: _gate(each.gate)},
                "steps": each.steps,
                "fresh": each.fresh,
                "r1": each.r1,
                "r1_every": each.r1_every,
            }
            for each in entry.adversaries
        ],
        "patch_size": entry.patch_size,
    }


def _resolved(catalog: Catalog[Any], name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given options and the defaults of the others; only the given ones if the entry is missing."""
    if name not in catalog:
        return dict(given)
    options: Options = catalog[name].options.model_validate(dict(given))
    return options.model_dump(mode="json", exclude_none=True)


def _gate(gate: Gate) -> dict[str, Any]:
    return gate.model_dump(mode="json") if isinstance(gate, Options) else {}


def _text(detail: dict[str, Any]) -> str:
    """Details as text: a heading, then keys and values, nested ones indented."""
    owner = f"{detail['plugin']} ({detail['distribution']} {detail['version']})"
    lines = [f"{detail['kind']} {detail['name']}: {detail['summary']}", f"  plugin: {owner}"]
    for key, value in detail.items():
        if key in ("kind", "name", "summary", "plugin", "distribution", "version") or value in (
            "",
            None,
            [],
            {},
        ):
            continue
        lines += _lines(key, value, "  ")
    return "\n".join(lines)


def _lines(key: str, value: Any, indent: str) -> list[str]:
    deeper = indent + "  "
    if isinstance(value, dict):
        return [f"{indent}{key}:"] + [line for k, v in value.items() for line in _lines(k, v, deeper)]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lines = [f"{indent}{key}:"]
        for item in value:
            first, *rest = [line for k, v in item.items() for line in _lines(k, v, deeper + "  ")]
            lines += [f"{deeper}- {first.strip()}", *rest]
        return lines
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return [f"{indent}{key}: {value}"]
