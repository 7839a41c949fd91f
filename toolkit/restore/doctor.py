"""Diagnosis of an installation: versions, devices, plugins, folders, and their problems.

A broken part does not stop the others: it is reported as a problem.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from packaging.version import Version

from restore.errors import first_line
from restore.files import cache_folder
from restore.registry import OWN, Registry

__all__ = ["Fact", "Issue", "Report", "examine"]

_ARITHMETIC = ("amx", "avx", "bf16", "dot", "fma", "fp16", "i8mm", "neon", "sme", "sve")
"""Prefixes of the processor features that matrix products use."""

_TOGETHER = "install both together, from one index: pip install --upgrade torch torchvision"


@dataclass(frozen=True)
class Fact:
    """A value of the report, such as a version, with a note."""

    topic: Literal["versions", "devices", "plugins", "folders"]
    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Issue:
    """A problem with its solution, in one sentence."""

    sentence: str
    broken: bool = True
    """Whether something does not work; otherwise it is advice."""


@dataclass(frozen=True)
class Report:
    """The facts and the problems of an installation."""

    facts: list[Fact] = field(default_factory=list)
    problems: list[Issue] = field(default_factory=list)

    @property
    def broken(self) -> bool:
        """Whether something does not work."""
        return any(problem.broken for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {**asdict(self), "broken": self.broken}


def examine(registry: Registry) -> Report:
    """Examine the installation.

    Args:
        registry: the installed plugins.
    """
    report = Report()
    _versions(report)
    if _torch_works(report):
        _devices(report)
    _plugins(report, registry)
    _folders(report)
    return report


def _versions(report: Report) -> None:
    report.facts.append(Fact("versions", "python", platform.python_version(), platform.platform()))
    report.facts.append(Fact("versions", OWN, _version(OWN) or "not installed"))
    optional: dict[str, tuple[Requirement, list[str]]] = {}
    for text in _requirements(OWN):
        requirement = Requirement(text)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", str(requirement.marker or ""))
        if extra is None:
            _required(report, requirement)
        elif extra[1] not in {"dev", "docs"}:
            optional.setdefault(requirement.name, (requirement, []))[1].append(extra[1])
    for requirement, extras in optional.values():
        _optional(report, requirement, extras)


def _required(report: Report, requirement: Requirement) -> None:
    found = _version(requirement.name)
    report.facts.append(Fact("versions", requirement.name, found or "not installed"))
    if found is None:
        sentence = f"{requirement.name} is not installed: pip install '{requirement}'"
        report.problems.append(Issue(sentence))
    elif not requirement.specifier.contains(found, prereleases=True):
        sentence = f"{requirement.name} {found} does not fit ({requirement.specifier} is needed): "
        report.problems.append(Issue(f"{sentence}pip install '{requirement.name}{requirement.specifier}'"))


def _optional(report: Report, requirement: Requirement, extras: list[str]) -> None:
    found = _version(requirement.name)
    detail = f"optional: {', '.join(sorted(extras))}"
    report.facts.append(Fact("versions", requirement.name, found or "not installed", detail))
    if found is not None and not requirement.specifier.contains(found, prereleases=True):
        extra = requirement.name if requirement.name in extras else extras[0]
        sentence = (
            f"{requirement.name} {found} does not fit ({requirement.specifier} is needed for {extra}): "
        )
        report.problems.append(Issue(f"{sentence}pip install --upgrade '{OWN}[{extra}]'", broken=False))


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _requirements(distribution: str) -> list[str]:
    try:
        return importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _torch_works(report: Report) -> bool:
    """Import PyTorch, and torchvision if it is installed; return whether PyTorch could be imported."""
    torch = _failure("torch")
    torchvision = _failure("torchvision") if _version("torchvision") else ""
    mismatch = _mismatch()
    if torch:
        report.problems.append(Issue(f"torch cannot be imported ({torch}): pip install --upgrade torch"))
    elif torchvision or mismatch:
        reason = mismatch or f"torchvision cannot be imported ({torchvision})"
        report.problems.append(Issue(f"torch and torchvision do not fit: {reason}; {_TOGETHER}"))
    return not torch


def _failure(module: str) -> str:
    """The reason why `module` cannot be imported, or an empty text."""
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # what is broken can raise anything
        return f"{type(error).__name__}: {first_line(error) if isinstance(error, Exception) else error}"
    return ""


def _mismatch() -> str:
    """How the installed torchvision and torch differ in their builds, or an empty text."""
    torch, torchvision = _version("torch"), _version("torchvision")
    if torch is None or torchvision is None:
        return ""
    for text in _requirements("torchvision"):
        wanted = Requirement(text)
        if wanted.name == "torch" and not wanted.specifier.contains(Version(torch).public, prereleases=True):
            return f"torchvision {torchvision} was built for torch {wanted.specifier}, and torch is {torch}"
    builds = (Version(torch).local, Version(torchvision).local)
    if None not in builds and builds[0] != builds[1]:
        return f"torch {torch} and torchvision {torchvision} are different builds"
    return ""


def _devices(report: Report) -> None:
    import torch

    from restore.inference.devices import choose_device, choose_precision, native_bfloat16

    add = report.facts.append
    found = sorted(key for key, value in torch.cpu.get_capabilities().items() if value is True)
    features = ", ".join(key for key in found if key.startswith(_ARITHMETIC))
    add(Fact("devices", "cpu", _processor(), f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"))
    add(Fact("devices", "features", features or "none known to PyTorch"))
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        add(
            Fact(
                "devices",
                f"cuda:{index}",
                card.name,
                f"{_size(card.total_memory)}, {card.major}.{card.minor}",
            )
        )
    if torch.backends.mps.is_available():
        add(Fact("devices", "mps", "Apple's Metal"))
    device = choose_device()
    precision = choose_precision("auto", device)
    native = native_bfloat16(device)
    why = (
        f"{device} multiplies it natively ({native})"
        if native
        else f"{device} has no native bfloat16, and half precision would be slower or overflow"
    )
    add(Fact("devices", "chosen", f"{device}, {str(precision).removeprefix('torch.')}", f"because {why}"))


def _processor() -> str:
    """The processor's model name, as the system reports it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _plugins(report: Report, registry: Registry) -> None:
    for status in registry.plugins:
        plugin = status.plugin
        owner = " ".join(filter(None, (plugin.distribution, plugin.version)))
        reason = "" if status.error else status.reason
        report.facts.append(
            Fact("plugins", plugin.name, status.state, "; ".join(filter(None, (owner, reason))))
        )
    report.problems.extend(Issue(str(error)) for error in registry.problems)


def _folders(report: Report) -> None:
    _folder(report, "cache", cache_folder, "downloaded model weights")
    _folder(report, "torch hub", _hub, "VGG-19, for the perceptual and the texture loss")


def _hub() -> Path:
    """The folder of `torch.hub`, found without importing torch, which may be broken."""
    home = os.environ.get("TORCH_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(home) if home else Path(cache) / "torch") / "hub"


def _folder(report: Report, name: str, where: Callable[[], Path], meaning: str) -> None:
    try:
        folder = where()
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        report.problems.append(Issue(f"the {name} folder cannot be read: {error}", broken=False))
        return
    state = _size(size) if folder.exists() else "does not exist yet"
    report.facts.append(Fact("folders", name, str(folder), f"{state}; {meaning}"))
    parent = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(parent, os.W_OK):
        advice = "set XDG_CACHE_HOME to a folder that can be written"
        report.problems.append(
            Issue(f"'{parent}' cannot be written, so no download is kept: {advice}", broken=False)
        )


def _size(count: float) -> str:
    """A number of bytes with a readable unit."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
