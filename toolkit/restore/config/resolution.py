"""Merge a TOML file, ``key=value`` assignments and parameters into one configuration.

Assignments and parameters override the file; setting one key in both ways is refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from restore.config.training import CONFIG_FILE, TrainingConfig
from restore.errors import OptionsError, UsageError, nearest
from restore.files import atomic_file
from restore.interfaces import parse

__all__ = ["assignments", "read_toml", "resolve", "resolve_again", "write_toml"]

_FREE = {
    "log_every", "shares_every", "validate_every", "checkpoint_every", "workers", "cache_gib", "patience",
}  # fmt: skip
"""Fields that a resumed run may change, because they do not affect what a step learns."""

_FORMER: Mapping[str, tuple[str, ...]] = {
    "betas": ("optimizer_options", "betas"),
    "lr_final": ("schedule_options", "final"),
}
"""Fields of version 0.1, which the files of its runs have -> where they are now."""

_FORMER_SWITCHES = {"augment": "turn", "recolor": "channel-shuffle", "channel_shuffle": "channel-shuffle"}
"""Likewise, those that switched an augmentation on or off."""


def resolve(
    file: Path | None,
    assigned: Iterable[str],
    given: Mapping[str, Any],
    shortcuts: Mapping[str, tuple[str, ...]] | None = None,
) -> TrainingConfig:
    """Merge a file, assignments and parameters into one configuration.

    Args:
        file: a TOML file, or ``None``.
        assigned: ``key=value`` with dots for nested keys; values are read as TOML, and as plain text where
            they are not TOML.
        given: parameters; ``None`` means not given.
        shortcuts: first part of a key -> what it stands for: with ``{"mse": ("terms", "mse")}``
            ``mse.luma=true`` is ``terms.mse.luma=true``.

    Raises:
        OptionsError: a key is unknown, a value wrong, or a key both given and assigned.

        >>> given = {"loss": "e", "data": ["photos"]}
        >>> config = resolve(None, ["ema=0", "mse.luma=true"], given, {"mse": ("terms", "mse")})
        >>> config.ema, config.terms
        (0.0, {'mse': {'luma': True}})
    """
    return _resolve({}, file, assigned, given, shortcuts or {})


def resolve_again(
    run: Path,
    file: Path | None,
    assigned: Iterable[str],
    given: Mapping[str, Any],
    shortcuts: Mapping[str, tuple[str, ...]] | None = None,
) -> TrainingConfig:
    """The configuration with which `run` is resumed: its own, with which anything given again has to agree.

    May differ: a larger `steps`, the folders of images, `patience`, `workers`, `cache_gib`, and how often the
    run is logged, validated or saved.

    Args:
        run: folder of the run.
        file: see `resolve`, as the rest.
        assigned: ``key=value``.
        given: parameters.
        shortcuts: see `resolve`.

    Raises:
        OptionsError: as for `resolve`.
        UsageError: there is no run in this folder, another setting differs from that of the run, or the run
            would become shorter.
    """
    own = run / CONFIG_FILE
    if not own.is_file():
        raise UsageError(
            f"there is no run to resume here: {CONFIG_FILE} is missing", path=run, hint="check `run`"
        )
    started = resolve(own, [], {})
    wanted = _resolve(started.model_dump(mode="json"), file, assigned, given, shortcuts or {})
    # Folders may have moved: whether the images are the same is decided by their fingerprint.
    before, after = started.settings, wanted.settings
    if wanted.steps < started.steps:
        raise UsageError(
            f"a resumed run can be extended but not shortened: `steps` is {wanted.steps}, in the run "
            f"{started.steps}",
            path=own,
            hint="omit `steps`, or choose a larger number",
        )
    for key in sorted(after.keys() - _FREE - {"steps"}):
        if after[key] != before[key]:
            raise UsageError(
                f"a resumed run keeps its settings: `{key}` is {after[key]!r}, in the run {before[key]!r}",
                path=own,
                hint=f"omit `{key}`, or start a new run with `init`",
            )
    return wanted


def assignments(pairs: Iterable[str]) -> list[tuple[str, Any]]:
    """Split ``key=value`` and read the values as TOML, or as plain text.

    Raises:
        OptionsError: there is no ``=``, or no key before it.

        >>> assignments(["lr=1e-4", "terms.l1.luma=true", "degradation=lanczos"])
        [('lr', 0.0001), ('terms.l1.luma', True), ('degradation', 'lanczos')]
    """
    result = []
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise OptionsError(f"`set` takes KEY=VALUE, not '{pair}'")
        result.append((key.strip(), _value(text.strip())))
    return result


def read_toml(file: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        OptionsError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise OptionsError(f"cannot read the configuration: {reason}", path=file) from error


def write_toml(config: TrainingConfig, file: Path) -> None:
    """Write `config` with all fields resolved; keys without a value are omitted."""
    text = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
    with atomic_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _resolve(
    values: dict[str, Any],
    file: Path | None,
    assigned: Iterable[str],
    given: Mapping[str, Any],
    shortcuts: Mapping[str, tuple[str, ...]],
) -> TrainingConfig:
    """`values`, which are changed in place, overridden by everything else."""
    if file:
        _merge(values, _renamed(read_toml(file)))
    given = {key: value for key, value in given.items() if value is not None}
    known = {name: path for name, path in shortcuts.items() if name not in TrainingConfig.model_fields}
    pairs = assignments(assigned)
    for key, value in pairs:
        first, *rest = key.split(".")
        if first in given:
            raise OptionsError(f"'{first}' is given twice: by `{first}` and by `set` {key}", hint="omit one")
        if first in _FORMER_SWITCHES and not rest:
            _switch(values, first, value)
            continue
        path = [*_expanded(first, known), *rest]
        if path[0] == "terms" and len(path) > 3:
            raise OptionsError(
                f"'{key}' is part of an option that can only be set as a whole",
                hint="write it like perceptual.layers=pool2:0.2,pool5:0.02",
            )
        _assign(values, path, value)
    values.update(given)
    for key, _ in pairs:
        _check_choice(values, key, known)
    _check_keys(values, sorted(known))
    return parse(TrainingConfig, values, "the training configuration")


def _expanded(name: str, shortcuts: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The path that the first part of a key stands for; ``jpeg#2`` is the second ``jpeg`` of a chain."""
    if name in _FORMER:
        return _FORMER[name]
    plain, number, _ = name.partition("#")
    if plain not in shortcuts:
        return (name,)
    path = shortcuts[plain]
    return (*path[:-1], name) if number else path


def _check_choice(values: Mapping[str, Any], key: str, shortcuts: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse ``cosine.final=0.1`` unless ``schedule=cosine``: another schedule may have a `final` too.

    Of such entries one is chosen, so their shortcuts are all the same: the options of the one that is.
    """
    name, *option = key.split(".")
    path = shortcuts.get(name, ())
    if len(path) != 1 or not option:
        return
    field = path[0].removesuffix("_options")
    chosen = values.get(field, TrainingConfig.model_fields[field].default)
    if chosen != name:
        raise OptionsError(
            f"'{key}' is an option of the {field} '{name}', but `{field}` is '{chosen}'",
            hint=f"set `{field}={name}`, or omit '{key}'",
        )


def _check_keys(values: Mapping[str, Any], losses: list[str]) -> None:
    unknown = sorted(set(values) - set(TrainingConfig.model_fields))
    if unknown:
        known = [*TrainingConfig.model_fields, *losses]
        raise OptionsError(
            f"the training configuration has no '{unknown[0]}'.{nearest(unknown[0], known)} "
            f"Known: {', '.join(known)}"
        )
    for key in ("loss",) if values.get("source") else ("loss", "data"):
        if not values.get(key):
            meaning = TrainingConfig.model_fields[key].description
            raise OptionsError(f"a run needs `{key}`: {meaning}", hint=f"set `{key}`")


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        if key in _FORMER_SWITCHES:
            _switch(renamed, key, value)
        else:
            _assign(renamed, list(_FORMER.get(key, (key,))), value)
    return renamed


def _switch(values: dict[str, Any], name: str, on: Any) -> None:
    """Set a former switch: add its augmentation to those of `values`, or remove it."""
    if not isinstance(on, bool):
        raise OptionsError(f"'{name}' is true or false, not {on!r}", hint="use `augmentations`")
    others = [each for each in values.get("augmentations", ["turn"]) if each != _FORMER_SWITCHES[name]]
    values["augmentations"] = [*others, _FORMER_SWITCHES[name]] if on else others


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _assign(values: dict[str, Any], path: list[str], value: Any) -> None:
    for index, part in enumerate(path[:-1]):
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise OptionsError(
                f"'{'.'.join(path[: index + 1])}' is a single value, so '{'.'.join(path)}' cannot be set"
            )
    values[path[-1]] = value
