"""What is installed, what the machine can do, and what is wrong with either.

Nothing here may fail because something is broken: a part that cannot be asked says why, and the others go on.
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

__all__ = ["Fact", "Problem", "Report", "examine"]

_TESTED_BY_IMPORT = ("torch", "torchvision")
_ARITHMETIC = ("amx", "avx", "bf16", "dot", "fma", "fp16", "i8mm", "neon", "sme", "sve")
"""How the features of a processor begin that networks are multiplied with."""

_TOGETHER = "install both together, from one index: pip install --upgrade torch torchvision"


@dataclass(frozen=True)
class Fact:
    """One line of the report."""

    topic: Literal["versions", "devices", "plugins", "folders"]
    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Problem:
    """What is wrong, and what to do about it, in one sentence."""

    sentence: str
    broken: bool = True
    """Whether something does not work; else it is advice."""


@dataclass(frozen=True)
class Report:
    """All that was found."""

    facts: list[Fact] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def broken(self) -> bool:
        """Whether something does not work."""
        return any(problem.broken for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {**asdict(self), "broken": self.broken}


def examine(registry: Registry) -> Report:
    """Look at everything.

    Args:
        registry: of the installed plugins.
    """
    report = Report()
    _versions(report)
    if _libraries_import(report):
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
        report.problems.append(Problem(sentence))
    elif not requirement.specifier.contains(found, prereleases=True):
        sentence = f"{requirement.name} {found} does not fit ({requirement.specifier} is needed): "
        report.problems.append(Problem(f"{sentence}pip install '{requirement.name}{requirement.specifier}'"))


def _optional(report: Report, requirement: Requirement, extras: list[str]) -> None:
    found = _version(requirement.name)
    detail = f"optional: {', '.join(sorted(extras))}"
    report.facts.append(Fact("versions", requirement.name, found or "not installed", detail))
    if found is not None and not requirement.specifier.contains(found, prereleases=True):
        extra = requirement.name if requirement.name in extras else extras[0]
        sentence = (
            f"{requirement.name} {found} does not fit ({requirement.specifier} is needed for {extra}): "
        )
        report.problems.append(Problem(f"{sentence}pip install --upgrade '{OWN}[{extra}]'", broken=False))


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


def _libraries_import(report: Report) -> bool:
    """Import PyTorch and torchvision; says whether PyTorch could be."""
    torch, torchvision = (_failure(name) for name in _TESTED_BY_IMPORT)
    mismatch = _mismatch()
    if torch:
        report.problems.append(
            Problem(f"torch cannot be imported ({torch}): pip install --upgrade torch torchvision")
        )
    elif torchvision or mismatch:
        reason = mismatch or f"torchvision cannot be imported ({torchvision})"
        report.problems.append(Problem(f"torch and torchvision do not fit: {reason}; {_TOGETHER}"))
    return not torch


def _failure(module: str) -> str:
    """Why `module` cannot be imported; empty when it can."""
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # what is broken can raise anything
        return f"{type(error).__name__}: {first_line(error) if isinstance(error, Exception) else error}"
    return ""


def _mismatch() -> str:
    """In which way torchvision was built for another torch; empty when it was not."""
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
    add(Fact("devices", "features", features or "none that PyTorch knows"))
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
    """The model of the processor, as the system calls it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _plugins(report: Report, registry: Registry) -> None:
    for record in registry.records:
        plugin = record.plugin
        owner = " ".join(filter(None, (plugin.distribution, plugin.version)))
        reason = "" if record.error else record.reason
        report.facts.append(
            Fact("plugins", plugin.name, record.state, "; ".join(filter(None, (owner, reason))))
        )
    report.problems.extend(Problem(str(error)) for error in registry.problems)


def _folders(report: Report) -> None:
    _folder(report, "cache", cache_folder, "models' weights that were downloaded")
    _folder(report, "torch hub", _hub, "VGG-19, for the perceptual and the texture loss")


def _hub() -> Path:
    """Where torchvision keeps what it downloads, told without importing torch, which may be broken."""
    home = os.environ.get("TORCH_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(home) if home else Path(cache) / "torch") / "hub"


def _folder(report: Report, name: str, where: Callable[[], Path], meaning: str) -> None:
    try:
        folder = where()
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        report.problems.append(Problem(f"the {name} folder cannot be looked into: {error}", broken=False))
        return
    state = _size(size) if folder.exists() else "not there yet"
    report.facts.append(Fact("folders", name, str(folder), f"{state}; {meaning}"))
    parent = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(parent, os.W_OK):
        advice = "set XDG_CACHE_HOME to a folder that can be written"
        report.problems.append(
            Problem(f"'{parent}' cannot be written, so nothing is kept: {advice}", broken=False)
        )


def _size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
