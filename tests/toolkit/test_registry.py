"""Plugins become a registry: each mistake is named with its plugin, and never stops the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest

from restore import hookspecs
from restore.errors import (
    ContractVersionError,
    DuplicateEntryError,
    EntryError,
    HookError,
    PluginError,
    UnknownNameError,
)
from restore.hookspecs import CONTRACT, hookimpl
from restore.interfaces import Extra, LossSpec, ModelSpec, lazy
from restore.registry import KINDS, Plugin, PluginStatus, Registry, build

NOWHERE = lazy("nowhere:nothing")


def model(name: str) -> ModelSpec:
    return ModelSpec(name, "a model", build=NOWHERE, halo=NOWHERE)


def loss(name: str) -> LossSpec:
    return LossSpec(name, "a loss", build=NOWHERE)


def hook(result: Any) -> Callable[[], Any]:
    """A marked hook that returns `result`, or raises it."""

    @hookimpl
    def implementation() -> Any:
        if isinstance(result, BaseException):
            raise result
        return result

    return implementation


def unmarked() -> list[ModelSpec]:
    return [model("sharp")]


@hookimpl
def with_an_argument(scale: int) -> list[ModelSpec]:
    return [model(f"sharp{scale}")]


def malformed() -> ModelSpec:
    return model("Sharp!")


def plugin(name: str, *, contract: Any = CONTRACT, **content: Any) -> Plugin:
    """A plugin whose module holds `content`; a `contract` of ``...`` is left out."""
    if contract is not ...:
        content["CONTRACT"] = contract
    return Plugin(name, SimpleNamespace(**content), f"{name}-dist", "2.1")


GOOD = plugin("good", restore_models=hook([model("good-model")]), restore_losses=hook([loss("good-loss")]))


def broken(registry: Registry) -> PluginError:
    (problem,) = registry.problems
    return problem


def test_every_hook_has_a_kind_and_every_kind_a_hook() -> None:
    hooks = {name for name in dir(hookspecs) if hasattr(getattr(hookspecs, name), "restore_spec")}
    assert hooks == {kind.hook for kind in KINDS}
    assert len(hooks) == len(KINDS)


def test_every_kind_has_the_entries_that_its_hook_returns_and_a_catalog() -> None:
    for kind in KINDS:
        returned = get_type_hints(getattr(hookspecs, kind.hook))["return"]
        assert returned == Sequence[kind.entry]  # type: ignore[name-defined]
    catalogs = {field.name for field in dataclasses.fields(Registry)} - {"plugins"}
    assert catalogs == {kind.catalog for kind in KINDS}


def test_entries_are_found_by_name_and_know_their_plugin() -> None:
    registry = build([GOOD])
    assert registry.models["good-model"].name == "good-model"
    assert registry.losses["good-loss"].name == "good-loss"
    assert registry.models.owner("good-model") is GOOD
    assert [(status.plugin, status.state) for status in registry.plugins] == [(GOOD, "active")]
    assert registry.problems == ()


MISTAKES = {
    "no version of the contract": (
        plugin("p", contract=..., restore_models=hook([])),
        ContractVersionError,
        f"add CONTRACT = {CONTRACT}",
    ),
    "a version of the contract that never was": (
        plugin("p", contract=0, restore_models=hook([])),
        ContractVersionError,
        f"state CONTRACT = {CONTRACT} in its module",
    ),
    "a newer contract": (
        plugin("p", contract=CONTRACT + 1, restore_models=hook([])),
        ContractVersionError,
        "update restorekit",
    ),
    "a misspelt hook": (
        plugin("p", restore_modles=hook([])),
        HookError,
        "implements 'restore_modles', which is not a hook. Did you mean 'restore_models'?",
    ),
    "a misspelt hook beside a right one": (
        plugin("p", restore_models=hook([model("sharp")]), restore_loss=hook([])),
        HookError,
        "implements 'restore_loss', which is not a hook. Did you mean 'restore_losses'?",
    ),
    "a hook without its mark": (
        plugin("p", restore_models=unmarked),
        HookError,
        "defines restore_models without @hookimpl",
    ),
    "a hook with an argument": (plugin("p", restore_models=with_an_argument), HookError, "'scale'"),
    "no hook": (plugin("p"), HookError, "implements no hook. Known hooks: restore_models, restore_losses"),
    "a hook that raises": (
        plugin("p", restore_models=hook(ZeroDivisionError("by nought"))),
        HookError,
        "restore_models raised ZeroDivisionError: by nought",
    ),
    "a hook that exits": (
        plugin("p", restore_models=hook(SystemExit(3))),
        HookError,
        "restore_models raised SystemExit: 3",
    ),
    "a hook that returns nothing": (plugin("p", restore_models=hook(None)), HookError, "returned None"),
    "a hook that returns one entry": (
        plugin("p", restore_models=hook(model("sharp"))),
        HookError,
        "restore_models returned ModelSpec",
    ),
    "a hook that returns text": (
        plugin("p", restore_models=hook(["sharp"])),
        EntryError,
        "restore_models returned 'sharp', which is not a ModelSpec",
    ),
    "an entry of another kind": (
        plugin("p", restore_models=hook([loss("sharp")])),
        EntryError,
        "which is not a ModelSpec",
    ),
    "an entry with an unusable name": (
        plugin("p", restore_models=hookimpl(lambda: [malformed()])),
        EntryError,
        "the name 'Sharp!' is not valid",
    ),
    "one name twice": (
        plugin("p", restore_models=hook([model("sharp"), model("sharp")])),
        DuplicateEntryError,
        "provides a model 'sharp', which plugin 'p' (p-dist 2.1) provides already",
    ),
    "a name that is taken": (
        plugin("p", restore_losses=hook([loss("sharp")]), restore_models=hook([model("good-model")])),
        DuplicateEntryError,
        "provides a model 'good-model', which plugin 'good' (good-dist 2.1) provides already",
    ),
    "extras that are no sequence of extras": (
        plugin("p", restore_models=hook([]), EXTRAS=Extra("nowhere_at_all", "pip install nowhere")),
        EntryError,
        "EXTRAS",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_plugin_and_distribution(mistake: str) -> None:
    wrong, kind, words = MISTAKES[mistake]
    problem = broken(build([GOOD, wrong]))
    assert type(problem) is kind
    assert wrong.owner == "'p' (p-dist 2.1)"
    assert str(problem).startswith(f"plugin {wrong.owner}")
    assert words in str(problem)
    assert "\n" not in str(problem)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_broken_plugin_has_no_entries_and_does_not_affect_the_others(mistake: str) -> None:
    wrong = MISTAKES[mistake][0]
    later = plugin("later", restore_models=hook([model("later-model")]))
    registry = build([GOOD, wrong, later])
    assert list(registry.models) == ["good-model", "later-model"]
    assert list(registry.losses) == ["good-loss"]
    assert [status.state for status in registry.plugins] == ["active", "broken", "active"]
    assert registry.plugins[1] == PluginStatus(wrong, "broken", str(broken(registry)), broken(registry))


def test_the_first_to_claim_a_name_keeps_it() -> None:
    first = plugin("first", restore_models=hook([model("sharp")]))
    second = plugin("second", restore_models=hook([model("sharp"), model("soft")]))
    assert build([first, second]).models.owner("sharp") is first
    assert build([second, first]).models.owner("sharp") is second
    assert "soft" not in build([first, second]).models


def test_a_broken_plugin_claims_no_name() -> None:
    wrong = plugin("wrong", restore_models=hook([model("sharp")]), restore_losses=hook([3]))
    right = plugin("right", restore_models=hook([model("sharp")]))
    assert build([wrong, right]).models.owner("sharp") is right


def test_one_name_may_stand_for_entries_of_two_kinds() -> None:
    both = plugin("both", restore_models=hook([model("sharp")]), restore_losses=hook([loss("sharp")]))
    registry = build([both])
    assert registry.problems == ()
    assert isinstance(registry.models["sharp"], ModelSpec)
    assert isinstance(registry.losses["sharp"], LossSpec)


@pytest.mark.parametrize("module", ["nowhere_at_all", "nowhere_at_all.part"])
def test_a_plugin_without_its_extra_is_unavailable_and_says_how_to_install_it(module: str) -> None:
    extra = Extra(module, "pip install 'p-dist[all]'")
    lacking = plugin("p", restore_models=hook([model("sharp")]), EXTRAS=(extra,))
    registry = build([lacking, GOOD])
    status = registry.plugins[0]
    assert (status.state, status.reason) == ("unavailable", "install it with: pip install 'p-dist[all]'")
    assert registry.problems == ()
    assert list(registry.models) == ["good-model"]


def test_a_plugin_with_its_extra_is_active() -> None:
    complete = plugin("p", restore_models=hook([model("sharp")]), EXTRAS=(Extra("json", "nothing"),))
    assert "sharp" in build([complete]).models


def test_a_plugin_for_an_older_contract_gets_the_list_of_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {2: "rename restore_nets to restore_models", 3: "give each loss a summary"}
    monkeypatch.setattr(hookspecs, "CONTRACT", 3)
    monkeypatch.setattr(hookspecs, "CHANGES", changes)
    older = [plugin(f"of-{version}", contract=version, restore_models=hook([])) for version in (1, 2)]
    first, second = build(older).problems
    assert isinstance(first, ContractVersionError)
    assert str(first) == (
        "plugin 'of-1' (of-1-dist 2.1) was written for version 1 of the contract and this is version 3; "
        "update of-1-dist; its author has to change: rename restore_nets to restore_models; give each "
        "loss a summary; and then to state CONTRACT = 3"
    )
    assert changes[2] not in str(second)
    assert changes[3] in str(second)


def test_every_version_of_the_contract_says_what_changed_with_it() -> None:
    assert set(hookspecs.CHANGES) == set(range(2, CONTRACT + 1))


def test_an_unknown_name_is_answered_with_the_known_ones_and_the_nearest() -> None:
    registry = build([plugin("p", restore_models=hook([model("sharp"), model("blur")]))])
    with pytest.raises(UnknownNameError) as caught:
        registry.models["sharpp"]
    assert str(caught.value) == "there is no model 'sharpp'. Did you mean 'sharp'? Known: blur, sharp"


def test_an_unknown_name_of_an_empty_catalog_says_so() -> None:
    with pytest.raises(UnknownNameError) as caught:
        build([]).tables["sharp"]
    assert str(caught.value) == "there is no table 'sharp'. Known: none"


def test_an_unknown_name_tells_which_plugins_are_absent_and_why() -> None:
    disabled = PluginStatus(Plugin("off", None, "off-dist", "1"), "disabled", "named in a variable")
    lacking = plugin("p", EXTRAS=(Extra("nowhere_at_all", "pip install nowhere"),))
    wrong = plugin("wrong", contract=...)
    with pytest.raises(UnknownNameError) as caught:
        build([GOOD, lacking, wrong], [disabled]).models["sharp"]
    sentence = str(caught.value)
    assert "plugin 'off' (off-dist 1) is disabled: named in a variable" in sentence
    assert "plugin 'p' (p-dist 2.1) is unavailable: install it with: pip install nowhere" in sentence
    assert "plugin 'wrong' (wrong-dist 2.1) is broken: " in sentence
    assert "'good'" not in sentence


def test_whoever_brought_an_unknown_name_is_unknown_too() -> None:
    with pytest.raises(UnknownNameError, match="there is no model 'sharp'"):
        build([GOOD]).models.owner("sharp")


def test_a_name_can_be_asked_for_without_an_error() -> None:
    registry = build([GOOD])
    assert "sharp" not in registry.models
    assert registry.models.get("sharp") is None


def test_a_registry_cannot_be_changed() -> None:
    registry = build([GOOD])
    with pytest.raises(dataclasses.FrozenInstanceError):
        registry.models = build([]).models  # type: ignore[misc]
    with pytest.raises(TypeError):
        registry.models["sharp"] = model("sharp")  # type: ignore[index]
    with pytest.raises(TypeError):
        del registry.models["good-model"]  # type: ignore[attr-defined]


def test_records_of_plugins_that_did_not_come_so_far_are_kept() -> None:
    early = PluginStatus(Plugin("off", None), "disabled", "because")
    assert build([GOOD], [early]).plugins[0] is early
