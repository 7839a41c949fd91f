"""`restore plugin check` and `plugin_checks` check the whole contract, and no failure hides another."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn

from restore.checkpoint import WeightsCard, save_weights
from restore.cli import main
from restore.errors import OptionsError
from restore.hookspecs import CONTRACT, hookimpl
from restore.interfaces import LossSpec, ModelSpec, Options, Weights
from restore.registry import Plugin, Registry, build
from restore.testing import Check, ContractError, examine, options_checks, plugin_checks, weights_checks


class Repeat(nn.Module):
    """Nearest-neighbor upscaling by 2, with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> Tensor:
        return self.gain * image.repeat_interleave(2, -1).repeat_interleave(2, -2)


MODEL = ModelSpec("m", "a model", build=lambda s, o: Repeat(), halo=lambda s, o: 0, scales=(2,))


def registered(models: list[ModelSpec], losses: list[LossSpec] | None = None) -> Registry:
    @hookimpl
    def restore_models() -> list[ModelSpec]:
        return models

    @hookimpl
    def restore_losses() -> list[LossSpec]:
        return losses or []

    module = SimpleNamespace(CONTRACT=CONTRACT, restore_models=restore_models, restore_losses=restore_losses)
    registry = build([Plugin("p", module)])
    assert not registry.problems
    return registry


def problems(checks: list[Check]) -> dict[str, str]:
    return {each.check.name: each.problem for each in examine(checks) if not each.passed}


def test_a_valid_plugin_passes() -> None:
    checks = plugin_checks("p", registered([MODEL]))
    assert problems(checks) == {}
    assert {"plugin p: is active", "m 2x: keeps shape", "m 2x: traced equals plain"} <= set(map(str, checks))


def test_only_the_requested_scale_is_checked() -> None:
    registry = registered([replace(MODEL, scales=None)])
    scales = {str(each).split()[1] for each in plugin_checks("p", registry, scale=2) if "shape" in str(each)}
    assert scales == {"2x:"}


class Gain(Options):
    gain: float = Field(1.0, gt=0, description="factor of the result")


def amplified(scale: int, options: Gain) -> nn.Module:
    if options.gain == 3:
        raise RuntimeError("gain 3")
    return Repeat()


def test_entries_are_checked_with_the_given_options() -> None:
    spec = replace(MODEL, build=amplified, options=Gain)
    assert problems(plugin_checks("p", registered([spec]), options={"m": {"gain": 2}})) == {}
    found = problems(plugin_checks("p", registered([spec]), options={"m": {"gain": 3}}))
    assert found["m 2x: keeps shape"] == "the check was ended by RuntimeError: gain 3"
    with pytest.raises(OptionsError, match=r"'m' has no option 'gian'\. Did you mean 'gain'"):
        plugin_checks("p", registered([spec]), options={"m": {"gian": 2}})


def fails(scale: int, options: Options) -> nn.Module:
    raise RuntimeError("no\nday\nwithout rain")


def leaves(options: Options) -> nn.Module:
    sys.exit("license expired")


def test_a_crash_is_a_one_line_failure_and_does_not_stop_other_checks() -> None:
    broken = replace(MODEL, name="broken", build=fails)
    registry = registered([broken, MODEL], [LossSpec("leaves", "a loss", build=leaves)])
    checks = plugin_checks("p", registry)
    found = problems(checks)
    assert found["broken 2x: keeps shape"] == "the check was ended by RuntimeError: no day"
    assert found["loss leaves: loss is a scalar"] == "the check was ended by SystemExit: license expired"
    assert not any("\n" in problem for problem in found.values())
    assert len(list(examine(checks))) == len(checks)
    assert not any(name.startswith("m 2x") for name in found)


class Demanding(Options):
    size: int
    speed: float = 1.0


class Documented(Options):
    size: int = Field(3, description="side of the filters in pixels")


def test_options_without_a_description_or_default_are_reported() -> None:
    checks = plugin_checks("p", registered([replace(MODEL, options=Demanding)]))
    found = problems(checks)
    assert "these have no description: size, speed" in found["model m: options are documented"]
    assert "give a default to size" in found["model m: options have defaults"]
    assert "ended by ValidationError" in found["model m: can be checked"]
    assert problems(options_checks(replace(MODEL, options=Documented))) == {}


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    file = tmp_path / "w.safetensors"
    save_weights(file, Repeat(), WeightsCard(model="m", scale=2))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Weights("w", 2, file, digest, "CC0-1.0", "on noise")


def of(weights: Weights) -> dict[str, str]:
    model = replace(MODEL, weights=(weights,))
    found = problems(weights_checks(model, registered([model])))
    return {name.partition(": ")[2]: problem for name, problem in found.items()}


def test_complete_weights_pass(weights: Weights) -> None:
    assert of(weights) == {}


@pytest.mark.parametrize(
    ("changes", "claim", "problem"),
    [
        ({"license": " "}, "weights are licensed", "the license is empty"),
        ({"trained": ""}, "weights are licensed", "`trained` is empty"),
        ({"sha256": "0" * 64}, "weights are hashed", "not " + "0" * 64),
        ({"sha256": "abc"}, "weights are hashed", "set it to the 64 digits"),
        ({"source": Path("gone.safetensors")}, "weights are hashed", "is it in the wheel?"),
        ({"source": "http://a.b/c", "sha256": "0" * 64}, "weights are hashed", "neither a file nor an https"),
    ],
)
def test_incomplete_weights_are_reported(
    changes: dict[str, Any], claim: str, problem: str, weights: Weights
) -> None:
    assert problem in of(replace(weights, **changes))[claim]


def test_weights_of_another_network_do_not_load(weights: Weights, tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_weights(file, nn.Linear(1, 1), WeightsCard(model="m", scale=2))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert "do not fit the model" in of(replace(weights, source=file, sha256=digest))["weights load"]


def test_weights_of_another_format_do_not_load(weights: Weights, tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"gain": torch.ones(())}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert "does not say which model" in of(replace(weights, source=file, sha256=digest))["weights load"]


def test_a_network_that_branches_on_the_image_size_passes_with_a_note() -> None:
    class Decides(Repeat):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image if image.shape[-1] % 2 else image * 1)

    checks = plugin_checks("p", registered([replace(MODEL, build=lambda s, o: Decides())]))
    assert problems(checks) == {}
    (found,) = (finding for finding in examine(checks) if finding.note)
    assert found.check.name == "m 2x: traced equals plain"
    assert found.note.startswith("model 'm' cannot become a graph for any size of image (")


def test_a_broken_plugin_fails_with_the_reason() -> None:
    registry = build([Plugin("old", SimpleNamespace(CONTRACT=0))])
    assert "it is broken: " in problems(plugin_checks("old", registry))["plugin old: is active"]


IMPATIENT = """
import torch
from restore.hookspecs import hookimpl
from restore.interfaces import LossSpec

CONTRACT = 2

@hookimpl
def restore_losses():
    return [
        LossSpec("fair", "a loss", build=lambda options: torch.nn.MSELoss()),
        LossSpec("wrong", "a loss", build=lambda options: torch.nn.MSELoss(reduction="none")),
    ]
"""


Command = Callable[..., tuple[object, str, str]]


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Run the command with a fake installed distribution."""
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    info = tmp_path / "impatient_dist-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: impatient-dist\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[restore.plugins]\nimpatient = impatient\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["restore", "plugin", "check", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, *capsys.readouterr()

    yield run
    sys.modules.pop("impatient", None)


def test_the_command_reports_failures_with_hints_and_exits_with_1(check: Command) -> None:
    code, out, err = check()
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert "  ok    loss fair: loss is a scalar" in lines
    failed = lines.index("  FAIL  loss wrong: loss is a scalar")
    assert "expected one scalar" in lines[failed + 1]
    failed = lines.index("  FAIL  plugin impatient: imports no torch")
    assert "importing impatient imports torch too" in lines[failed + 1]
    assert lines[-1].startswith("plugin impatient: ")
    assert lines[-1].endswith("checks passed")


def test_an_unimportable_module_is_not_reported_as_importing_torch(
    check: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    _, out, _ = check("impatient")
    lines = out.splitlines()
    failed = lines.index("  FAIL  plugin impatient: imports no torch")
    assert "impatient cannot be imported by a new process: ModuleNotFoundError" in lines[failed + 1]


def test_the_command_passes_options_to_the_entries(check: Command) -> None:
    code, _, err = check("impatient", "--set", "fair.size=3")
    assert (code, err) == (2, "error: 'fair' has no option 'size'. Known options: none\n")
    code, _, err = check("impatient", "--set", "unfair.size=3")
    assert code == 2
    assert "--set takes NAME.OPTION=VALUE, but got 'unfair.size'; use one of the names fair, wrong" in err


def test_the_command_prints_json(check: Command) -> None:
    code, out, _ = check("impatient", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert {row["plugin"] for row in rows} == {"impatient"}
    assert {row["check"] for row in rows if not row["passed"]} >= {"plugin impatient: imports no torch"}
    assert all(bool(row["problem"]) != row["passed"] for row in rows)


def test_the_command_suggests_the_closest_name_for_an_unknown_one(check: Command) -> None:
    code, _, err = check("enhancnet")
    assert code == 2
    assert "there is no plugin 'enhancnet'. Did you mean 'enhancenet'?" in err


def test_a_failed_check_raises_in_pytest() -> None:
    checks = plugin_checks("p", registered([replace(MODEL, halo=lambda s, o: 1)]))
    check = next(each for each in checks if "halo" in str(each))
    with pytest.raises(ContractError, match="tiles would be larger than needed"):
        check()
