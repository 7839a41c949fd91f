"""`restore doctor` reports the installation and its problems, whatever is broken."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
import torch

from restore.cli import main
from restore.doctor import Report, examine
from restore.registry import Plugin, Registry, build

Pretend = Callable[..., None]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Pretend that distributions have other versions and requirements; None means not installed."""
    versions: dict[str, str | None] = {}
    asked: dict[str, list[str]] = {}
    version, requires = importlib.metadata.version, importlib.metadata.requires

    def pretended(name: str) -> str:
        found = versions.get(name, version(name) if name not in versions else None)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", pretended)
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: asked.get(name, requires(name)))

    def make(name: str, found: str | None, wants: list[str] | None = None) -> None:
        versions[name] = found
        if wants is not None:
            asked[name] = wants

    return make


def facts(report: Report, topic: str) -> dict[str, tuple[str, str]]:
    return {fact.name: (fact.value, fact.note) for fact in report.facts if fact.topic == topic}


def test_a_working_installation_has_every_topic_and_no_problem(toys: Registry) -> None:
    report = examine(toys)
    assert [problem for problem in report.problems if problem.broken] == []
    assert not report.broken
    versions = facts(report, "versions")
    assert versions["torch"] == (importlib.metadata.version("torch"), "")
    assert versions["onnxruntime"][1] == "optional: onnx"
    assert "pytest" not in versions
    assert facts(report, "plugins")["toy"] == ("active", "in memory")
    assert set(facts(report, "folders")) == {"cache", "torch hub"}
    devices = facts(report, "devices")
    assert {"cpu", "features", "chosen"} <= set(devices)


@pytest.mark.parametrize(
    ("features", "precision", "why"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "bfloat16", "multiplies it natively (AMX)"),
        ({"avx512_bf16": True}, "bfloat16", "natively (AVX512-BF16)"),
        ({"avx2": True}, "float32", "has no native bfloat16"),
    ],
)
def test_the_chosen_precision_is_reported_with_its_reason(
    features: dict[str, bool], precision: str, why: str, toys: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    devices = facts(examine(toys), "devices")
    assert devices["chosen"][0] == f"cpu, {precision}"
    assert why in devices["chosen"][1]
    assert devices["features"][0] == ", ".join(sorted(features))


@pytest.mark.parametrize(
    ("torch_version", "vision", "wants", "reason"),
    [
        (
            "2.15.0",
            "0.28.0",
            "torch==2.14.0",
            "torchvision 0.28.0 was built for torch ==2.14.0, and torch is 2.15.0",
        ),
        ("2.15.0+cpu", "0.29.2+cu130", "torch==2.15.0", "are different builds"),
    ],
)
def test_a_torchvision_of_another_torch_is_one_problem(
    torch_version: str, vision: str, wants: str, reason: str, toys: Registry, pretend: Pretend
) -> None:
    pretend("torch", torch_version)
    pretend("torchvision", vision, [wants])
    (sentence,) = [each.sentence for each in examine(toys).problems if "do not fit" in each.sentence]
    assert sentence.startswith("torch and torchvision do not fit: ")
    assert reason in sentence
    assert sentence.endswith("install both together, from one index: pip install --upgrade torch torchvision")


def test_the_cpu_build_of_both_fits(toys: Registry, pretend: Pretend) -> None:
    pretend("torch", "2.15.0+cpu")
    pretend("torchvision", "0.29.2+cpu", ["torch==2.15.0"])
    assert not examine(toys).broken


def test_torchvision_is_optional(toys: Registry, pretend: Pretend) -> None:
    pretend("torchvision", None)
    report = examine(toys)
    assert not report.problems
    assert facts(report, "versions")["torchvision"] == ("not installed", "optional: metrics")


@pytest.mark.parametrize("module", ["torch", "torchvision"])
def test_a_library_that_cannot_be_imported_is_a_problem_and_the_rest_is_reported(
    module: str, toys: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def broken(name: str) -> object:
        if name == module:
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    report = examine(toys)
    (sentence,) = [problem.sentence for problem in report.problems if problem.broken]
    assert "RuntimeError: operator torchvision::nms does not exist" in sentence
    assert "pip install --upgrade torch" in sentence
    assert "toy" in facts(report, "plugins")


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (None, "pillow is not installed: pip install 'pillow>="),
        ("9.5", "pillow 9.5 does not fit (>="),
    ],
)
def test_a_required_library_that_is_missing_or_too_old_is_a_problem(
    found: str | None, sentence: str, toys: Registry, pretend: Pretend
) -> None:
    pretend("pillow", found)
    report = examine(toys)
    assert report.broken
    assert any(problem.sentence.startswith(sentence) for problem in report.problems)


def test_an_optional_library_may_be_missing_but_is_listed(toys: Registry, pretend: Pretend) -> None:
    pretend("openvino", None)
    pretend("spandrel", "0.1")
    report = examine(toys)
    assert not report.broken
    assert facts(report, "versions")["openvino"] == ("not installed", "optional: int8, openvino")
    (advice,) = [problem.sentence for problem in report.problems]
    assert advice.startswith("spandrel 0.1 does not fit")
    assert advice.endswith("pip install --upgrade 'restorekit[spandrel]'")


def test_a_broken_plugin_is_a_problem_with_its_owner() -> None:
    registry = build([Plugin("bad", SimpleNamespace(), "bad-dist", "1.2")])
    report = examine(registry)
    assert facts(report, "plugins") == {"bad": ("broken", "bad-dist 1.2")}
    assert report.broken
    assert "CONTRACT = 2" in report.problems[-1].sentence


def test_caches_are_listed_with_their_size(
    toys: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    (tmp_path / "restore" / "weights").mkdir(parents=True)
    (tmp_path / "restore" / "weights" / "a").write_bytes(bytes(2_500_000))
    folders = facts(examine(toys), "folders")
    assert folders["cache"] == (str(tmp_path / "restore"), "2.5 MB; downloaded model weights")
    assert folders["torch hub"][0] == str(tmp_path / "torch" / "hub")
    assert folders["torch hub"][1].startswith("does not exist yet")


def test_a_cache_that_cannot_be_written_is_advice(
    toys: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    report = examine(toys)
    assert any("set XDG_CACHE_HOME" in problem.sentence for problem in report.problems)
    assert not report.broken


def test_the_command_prints_json_and_exits_with_1_for_a_broken_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = tmp_path / "rainy-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rainy\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[restore.plugins]\nrainy = nowhere.at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["restore", "doctor", "--json"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    (row,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert row["broken"] is True
    assert {"topic": "plugins", "name": "rainy", "value": "broken", "note": "rainy 1.5"} in row["facts"]
    assert any("could not be imported from 'nowhere.at_all'" in each["sentence"] for each in row["problems"])


def test_the_command_prints_tables_and_problems(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend("torchvision", "0.28.0", ["torch==2.14.0"])
    monkeypatch.setattr(sys, "argv", ["restore", "doctor"])
    with pytest.raises(SystemExit) as caught:
        main()
    captured = capsys.readouterr()
    assert caught.value.code == 1
    assert {"versions", "devices", "plugins", "folders"} <= set(captured.out.splitlines())
    assert any(
        line.startswith("error: torch and torchvision do not fit") for line in captured.err.splitlines()
    )


def test_an_unexpected_error_refers_to_the_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: str) -> NoReturn:
        raise RuntimeError("operator torchvision::nms\ndoes not exist")

    monkeypatch.setattr(importlib.metadata, "entry_points", fail)
    monkeypatch.setattr(sys, "argv", ["restore", "list"])
    with pytest.raises(SystemExit) as caught:
        main()
    (sentence,) = capsys.readouterr().err.splitlines()
    assert caught.value.code == 1
    assert "torchvision::nms does not exist; check the installation with 'restore doctor'" in sentence
