"""Checkpoints: the complete state of a run, from which it resumes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from restore.checkpoint.tensors import save_tensors, to_json
from restore.errors import TrainingError, first_line
from restore.files import atomic_folder, sha256

__all__ = ["Checkpoint", "latest_checkpoint", "save_checkpoint"]

_KEPT = 2  # checkpoints of a run


@dataclass(frozen=True)
class Checkpoint:
    """The whole state of a run after `step` updates."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    """Name of a file -> name of a tensor -> tensor, on the CPU."""
    state: Mapping[str, Any]
    """Everything else, as JSON has it."""


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write ``folder/STEP`` whole, with a manifest of hashes, and keep the last two.

    Raises:
        OSError: the disk is full or the folder cannot be written; earlier checkpoints stay whole.
    """
    place = folder / f"{checkpoint.step:08d}"
    if place.exists():
        # Set aside at once, because a kill could leave half of what is removed file by file.
        aside = folder / f".restore-{place.name}"
        shutil.rmtree(aside, ignore_errors=True)
        place.rename(aside)
    with atomic_folder(place) as temporary:
        for name, tensors in checkpoint.tensors.items():
            save_tensors(temporary / f"{name}.safetensors", tensors, {})
        content = {"step": checkpoint.step, "state": checkpoint.state}
        (temporary / "state.json").write_text(to_json(content), encoding="utf-8")
        hashes = {file.name: sha256(file) for file in sorted(temporary.iterdir())}
        (temporary / "manifest.json").write_text(to_json(hashes), encoding="utf-8")
    # What a kill left half-written goes too: a run has one process that writes.
    for old in [*_checkpoints(folder)[:-_KEPT], *folder.glob(".restore-*")]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def latest_checkpoint(folder: Path) -> tuple[Checkpoint, list[str]]:
    """The newest whole checkpoint, and a sentence for each damaged one that was passed over.

    Raises:
        TrainingError: there is none.
    """
    damaged = []
    for place in reversed(_checkpoints(folder)):
        problem = _damage(place)
        if problem:
            damaged.append(f"checkpoint '{place}' is damaged ({problem}) and was passed over")
            continue
        content = json.loads((place / "state.json").read_text(encoding="utf-8"))
        tensors = {file.stem: load_file(file) for file in sorted(place.glob("*.safetensors"))}
        return Checkpoint(content["step"], tensors, content["state"]), damaged
    nothing = f"there is no whole checkpoint to resume from in '{folder}': start a new run"
    raise TrainingError("; ".join([nothing, *damaged]))


def _checkpoints(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    places = [place for place in folder.iterdir() if re.fullmatch(r"\d{8,}", place.name)]
    return sorted(places, key=lambda place: int(place.name))


def _damage(place: Path) -> str:
    """What is wrong with a checkpoint; empty if it is intact."""
    try:
        hashes = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
        wrong = [name for name, digest in hashes.items() if sha256(place / name) != digest]
    except (OSError, ValueError, AttributeError) as error:
        return first_line(error)
    return f"{', '.join(wrong)} changed" if wrong else ""
