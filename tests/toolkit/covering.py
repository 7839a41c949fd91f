"""Training runs that cover every pair of a researcher's choices, and the plugin that they use.

It is a plugin of its own, beside the toy plugin.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from restore.hookspecs import hookimpl
from restore.interfaces import Adversary, LossSpec, ObjectiveSpec, Term
from restore.registry import Plugin, Registry, build

CONTRACT = 2

Row = Mapping[str, str]
"""Factor -> the level that a run takes."""

FACTORS: Mapping[str, tuple[str, ...]] = {
    "formula": ("smoothed", "hinge", "lsgan", "wgan", "relativistic", "none"),
    "terms": ("pixels", "input", "step", "features", "twice", "learned", "stateful"),
    "discriminator": ("image", "conditional", "scales", "pixels", "two"),
    "updates": ("one", "two", "fresh"),
    "penalty": ("none", "r1", "r1-every-2"),
    "optimizer": ("adam", "adamw", "soap", "schedule-free"),
    "schedule": ("cosine", "multistep", "constant", "wsd"),
    "rates": ("equal", "by-name"),
    "warmup": ("none", "both", "own"),
    "augmentation": ("turn", "channel-shuffle", "cutblur", "cutmix", "mixup"),
    "data": ("made", "pairs", "mixture"),
    "validation": ("none", "metrics", "best", "early-stop"),
    "parts": ("1", "2"),
}
"""What a run can choose. The first level of each can be combined with any other choice."""

ALONE = "there is no discriminator"
INCOMPATIBLE: Mapping[frozenset[tuple[str, str]], str] = {
    frozenset({("formula", "none"), (factor, level)}): ALONE
    for factor, levels in (
        ("discriminator", FACTORS["discriminator"][1:]),
        ("updates", FACTORS["updates"][1:]),
        ("penalty", FACTORS["penalty"][1:]),
        ("warmup", ("own",)),
    )
    for level in levels
}
"""Pairs of choices that cannot be combined -> why."""

TERMS: Mapping[str, tuple[Term, ...]] = {
    "pixels": (Term("l1"),),
    "input": (Term("l1"), Term("like-input", 0.2)),
    "step": (Term("stepped"),),
    "features": (Term("l1"), Term("small", 0.01)),
    "twice": (Term("l1"), Term("l1", 0.5, {"luma": True}, label="luma")),
    "learned": (Term("learned"),),
    "stateful": (Term("normalized"),),
}
DISCRIMINATORS: Mapping[str, Any] = {
    "image": "toy",
    "conditional": "conditional",
    "scales": {"name": "patch", "layers": 1, "scales": 2, "width": 4},
    "pixels": {"name": "unet", "width": 2},
}
ADVERSARIES: Mapping[str, tuple[Adversary, ...]] = {
    "none": (),
    "one": (Adversary("toy", 0.1),),
    "two": (Adversary("toy", 0.1), Adversary("conditional", 0.1, label="seen")),
}
UPDATES: Mapping[str, Mapping[str, Any]] = {
    "one": {},
    "two": {"steps": 2},
    "fresh": {"steps": 2, "fresh": True},
}
PENALTIES: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "r1": {"r1": 0.1},
    "r1-every-2": {"r1": 0.1, "r1_every": 2},
}
WARMUPS: Mapping[str, Mapping[str, Any]] = {
    "none": {"warmup": 0},
    "both": {"warmup": 2},
    "own": {"warmup": 2, "warmup_discriminator": 1},
}


class Normalized(nn.Module):
    """The mean difference divided by its running mean so far, which the loss keeps."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(()))

    def forward(self, restored: Tensor, target: Tensor) -> Tensor:
        value = (restored - target).abs().mean()
        before = self.mean.clone()
        self.mean.lerp_(value.detach(), 0.1)
        return value / before


@hookimpl
def restore_losses() -> list[LossSpec]:
    return [LossSpec("normalized", "Divided by its running mean", lambda _: Normalized())]


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    return [
        ObjectiveSpec(f"{terms}-{number}", "Of the covering set", TERMS[terms], ADVERSARIES[number])
        for terms, number in product(TERMS, ADVERSARIES)
    ]


def with_covering(registry: Registry) -> Registry:
    """`registry` with the plugin that this module is; it has to contain the toy plugin."""
    plugins = [status.plugin for status in registry.plugins if status.state == "active"]
    found = build([*plugins, Plugin("covering", sys.modules[__name__])])
    assert not found.problems
    return found


def compatible(row: Row, factor: str, level: str) -> bool:
    """Whether `level` can be combined with all choices of `row`."""
    return not any(frozenset({(factor, level), choice}) in INCOMPATIBLE for choice in row.items())


def pairs_of(row: Row) -> set[frozenset[tuple[str, str]]]:
    """All pairs of the choices of `row`."""
    return {frozenset(pair) for pair in combinations(row.items(), 2)}


def required_pairs() -> list[frozenset[tuple[str, str]]]:
    """All pairs of choices that can be combined, in the order of `FACTORS`."""
    pairs = [
        frozenset({(first, left), (second, right)})
        for first, second in combinations(FACTORS, 2)
        for left, right in product(FACTORS[first], FACTORS[second])
    ]
    return [pair for pair in pairs if pair not in INCOMPATIBLE]


def covering_set() -> list[Row]:
    """Rows that cover all pairs: each begins with the first one missing, then takes what covers most."""
    missing = dict.fromkeys(required_pairs())
    rows = list[Row]()
    while missing:
        row = dict(sorted(next(iter(missing))))
        for factor, levels in FACTORS.items():
            if factor in row:
                continue
            allowed = [level for level in levels if compatible(row, factor, level)]
            gains = [
                sum(frozenset({(factor, level), choice}) in missing for choice in row.items())
                for level in allowed
            ]
            row[factor] = allowed[gains.index(max(gains))]
        rows.append({factor: row[factor] for factor in FACTORS})
        for pair in pairs_of(row):
            missing.pop(pair, None)
    return rows


def covering_choices(rows: list[Row]) -> list[Row]:
    """A few of `rows` that contain each single choice."""
    missing = {choice for row in rows for choice in row.items()}
    chosen = list[Row]()
    while missing:
        best = max(rows, key=lambda row: len(missing & set(row.items())))
        chosen.append(best)
        missing -= set(best.items())
    return chosen


def name_of(row: Row) -> str:
    """For a test: the choices that are not the first ones of their factors."""
    return ",".join(
        level for factor, level in row.items() if level != FACTORS[factor][0] or factor == "formula"
    )


def write_images(folder: Path) -> None:
    """The images of the runs: targets and their reduced versions, to train on and to validate with."""
    random = np.random.default_rng(0)
    for name, side, count in (("train", 64, 3), ("first", 32, 1), ("second", 32, 1)):
        for number in range(count):
            blocks = random.integers(20, 236, (side // 4, side // 4, 3)).repeat(4, 0).repeat(4, 1)
            image = Image.fromarray((blocks + random.integers(-20, 20, blocks.shape)).astype(np.uint8))
            for place, content in ((folder / name, image), (folder / f"{name}-small", image.reduce(4))):
                place.mkdir(parents=True, exist_ok=True)
                content.save(place / f"{number}.png")


def settings(row: Row, images: Path, **more: Any) -> dict[str, Any]:
    """The fields of the configuration of a run of four steps.

    Args:
        row: its choices.
        images: what `write_images` wrote.
        more: other fields.
    """
    alone, two = row["formula"] == "none", row["discriminator"] == "two"
    number = "none" if alone else "two" if two else "one"
    train, small = str(images / "train"), str(images / "train-small")
    made: Mapping[str, Any] = {"data": [train], "degradation": "bicubic+noise"}
    pairs: Mapping[str, Any] = {"data": [train], "degraded": [small]}
    mixture: Mapping[str, Any] = {"source": [{**pairs, "weight": 3}, made]}
    return {
        "loss": f"{row['terms']}-{number}",
        "steps": 4,
        "batch_size": 4,
        "accumulate": int(row["parts"]),
        "patch_size": 16,
        "lr": 1e-3,
        "model_options": {"width": 4, "blocks": 1},
        "adversary": {} if alone else _adversary(row, two=two),
        "optimizer": row["optimizer"],
        "schedule": row["schedule"],
        "rates": {"head.*": 0.0, "tail.*": 0.1} if row["rates"] == "by-name" else {},
        "augmentations": [row["augmentation"]],
        "precision": "fp32",
        "device": "cpu",
        "workers": 0,
        "log_every": 1,
        "checkpoint_every": 2,
        **WARMUPS[row["warmup"]],
        **{"made": made, "pairs": pairs, "mixture": mixture}[row["data"]],
        **_validation(row["validation"], images),
        **more,
    }


def _adversary(row: Row, *, two: bool) -> dict[str, Any]:
    smoothed = {"name": "vanilla", "real_label": 0.9}
    formula = smoothed if row["formula"] == "smoothed" else row["formula"]
    changes = {"loss": formula, **UPDATES[row["updates"]], **PENALTIES[row["penalty"]]}
    if two:
        return {"adversary": changes, "seen": changes}
    return {"discriminator": DISCRIMINATORS[row["discriminator"]], **changes}


def _validation(level: str, images: Path) -> dict[str, Any]:
    if level == "none":
        return {}
    sets = [str(images / name) for name in ("first", "second")]
    changes: Mapping[str, Mapping[str, Any]] = {
        "metrics": {"metric": ["psnr", "l1"], "val_degraded": [f"{place}-small" for place in sets]},
        "best": {"keep": ["best:psnr", "best:l1"], "validate_every": 1},
        "early-stop": {"metric": ["constant"], "patience": 2, "validate_every": 1},
    }
    return {"val": sets, **changes[level]}


def states(run: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that a run leaves and that has to be equal to the bit."""
    last = max((run / "checkpoints").iterdir(), key=lambda place: place.name)
    for file in sorted([*last.iterdir(), *run.glob("*.safetensors")]):
        yield str(file.relative_to(run)), file.read_bytes()
