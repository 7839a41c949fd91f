"""Plugins are discovered through entry points of fake distributions on the path."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from restore.errors import DuplicatePluginError, PluginError, PluginImportError
from restore.registry import DISABLE, GROUP, PluginStatus, Registry, discover

WORKING = """
from restore.hookspecs import hookimpl
from restore.interfaces import ModelSpec, lazy

CONTRACT = 2

@hookimpl
def restore_models():
    return [ModelSpec("{model}", "a model", build=lazy("nowhere:build"), halo=lazy("nowhere:halo"))]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, like site-packages. Modules imported from it are removed at the end."""
    monkeypatch.delenv(DISABLE, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def install(site: Path, distribution: str, module: str, code: str, entry_point: str | None = None) -> None:
    """Write what an installer writes: a module, and metadata with an entry point that names it."""
    (site / f"{module}.py").write_text(code)
    info = site / f"{distribution.replace('-', '_')}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entry_point or f'{module} = {module}'}\n")
    importlib.invalidate_caches()


def records(registry: Registry) -> dict[str, PluginStatus]:
    """Return the statuses of third-party plugins."""
    return {
        status.plugin.distribution: status
        for status in registry.plugins
        if status.plugin.distribution != "restorekit"
    }


def problem(registry: Registry) -> PluginError:
    (error,) = registry.problems
    return error


def test_included_plugins_are_discovered_through_entry_points(site: Path) -> None:
    found = {(status.plugin.name, status.plugin.distribution, status.state) for status in discover().plugins}
    assert {("baselines", "restorekit", "active"), ("enhancenet", "restorekit", "active")} <= found


def test_a_plugin_is_found_with_its_distribution_and_version(site: Path) -> None:
    install(site, "sunny-dist", "sunny", WORKING.format(model="sun"))
    registry = discover()
    owner = registry.models.owner("sun")
    assert (owner.name, owner.distribution, owner.version) == ("sunny", "sunny-dist", "1.5")
    assert records(registry)["sunny-dist"].state == "active"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('bad day')", "ValueError: bad day"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("import sys; sys.exit('no license')", "SystemExit: no license"),
        ("def broken(", "SyntaxError: '(' was never closed"),
    ],
    ids=["raises", "lacks a module", "exits", "is no Python"],
)
def test_a_plugin_that_fails_to_import_is_reported_and_does_not_stop_others(
    site: Path, code: str, reason: str
) -> None:
    install(site, "rainy-dist", "rainy", code)
    install(site, "sunny-dist", "sunny", WORKING.format(model="sun"))
    registry = discover()
    error = problem(registry)
    assert isinstance(error, PluginImportError)
    assert str(error).startswith("plugin 'rainy' (rainy-dist 1.5) could not be imported from 'rainy': ")
    assert reason in str(error)
    assert f"{DISABLE}=rainy" in str(error)
    assert records(registry)["rainy-dist"].state == "broken"
    assert {"sun", "bicubic", "enhancenet"} <= set(registry.models)


def test_an_entry_point_that_names_no_module_is_reported(site: Path) -> None:
    install(site, "rainy-dist", "rainy", "", entry_point="gone = gone.away")
    error = problem(discover())
    assert isinstance(error, PluginImportError)
    assert "'gone' (rainy-dist 1.5) could not be imported from 'gone.away'" in str(error)


def test_of_two_distributions_with_one_entry_point_the_first_is_kept_and_the_error_names_both(
    site: Path,
) -> None:
    install(site, "b-dist", "cloudy", WORKING.format(model="cloud"), "weather = cloudy")
    install(site, "a-dist", "sunny", WORKING.format(model="sun"), "weather = sunny")
    registry = discover()
    error = problem(registry)
    assert isinstance(error, DuplicatePluginError)
    assert "'weather' (b-dist 1.5) has the same name as 'weather' (a-dist 1.5)" in str(error)
    assert "sun" in registry.models
    assert "cloud" not in registry.models
    assert [records(registry)[name].state for name in ("a-dist", "b-dist")] == ["active", "broken"]


def test_no_plugin_can_replace_an_included_one(site: Path) -> None:
    install(site, "a-dist", "usurper", WORKING.format(model="other"), "enhancenet = usurper")
    install(site, "b-dist", "imitator", WORKING.format(model="enhancenet"))
    registry = discover()
    assert registry.models.owner("enhancenet").distribution == "restorekit"
    assert [str(error).split(")")[0] for error in registry.problems] == [
        "plugin 'enhancenet' (a-dist 1.5",
        "plugin 'imitator' (b-dist 1.5",
    ]


def test_a_disabled_plugin_is_not_imported(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "rainy-dist", "rainy", "raise ValueError('bad day')")
    install(site, "sunny-dist", "sunny", WORKING.format(model="sun"))
    monkeypatch.setenv(DISABLE, "rainy, enhancenet")
    registry = discover()
    assert registry.problems == ()
    assert records(registry)["rainy-dist"].state == "disabled"
    assert records(registry)["rainy-dist"].reason == f"named in {DISABLE}"
    assert "rainy" not in sys.modules
    assert "enhancenet" not in registry.models
    assert {"sun", "bicubic"} <= set(registry.models)


def test_an_incomplete_distribution_does_not_stop_other_plugins(site: Path) -> None:
    """An interrupted uninstallation leaves entry points without the metadata of their distribution."""
    install(site, "rainy-dist", "rainy", "raise ValueError('bad day')")
    (site / "rainy_dist-1.5.dist-info" / "METADATA").unlink()
    install(site, "sunny-dist", "sunny", WORKING.format(model="sun"))
    registry = discover()
    assert "plugin 'rainy' (unknown distribution) could not be imported" in str(problem(registry))
    assert {"sun", "bicubic"} <= set(registry.models)


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a subprocess, as a shell would."""
    return subprocess.run(
        [sys.executable, "-m", "restore", *arguments],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_restore_list_reports_broken_plugins_on_stderr_and_lists_the_rest(site: Path) -> None:
    install(site, "rainy-dist", "rainy", "raise ValueError('bad day')")
    install(site, "sunny-dist", "sunny", WORKING.format(model="sun"))
    listed = run(site, "list")
    assert listed.returncode == 0
    (warning,) = listed.stderr.splitlines()
    assert warning.startswith("warning: plugin 'rainy' (rainy-dist 1.5) could not be imported")
    assert "bad day" in warning
    assert "rainy" not in listed.stdout
    names = [line.split()[0] for line in listed.stdout.splitlines() if line]
    assert {"sun", "bicubic", "enhancenet"} <= set(names)


def test_restore_list_notes_disabled_plugins(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "sunny-dist", "sunny", WORKING.format(model="sun"))
    monkeypatch.setenv(DISABLE, "sunny")
    listed = run(site, "list")
    assert listed.returncode == 0
    assert listed.stderr == f"note: plugin 'sunny' (sunny-dist 1.5) is disabled: named in {DISABLE}\n"
    assert "sun " not in listed.stdout


def test_a_misspelled_disabled_plugin_is_reported_with_a_suggestion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RESTORE_DISABLE_PLUGINS", "baselins")
    reasons = [status.reason for status in discover().plugins if status.plugin.name == "baselins"]
    assert len(reasons) == 1
    assert "no such plugin. Did you mean 'baselines'?" in reasons[0]
