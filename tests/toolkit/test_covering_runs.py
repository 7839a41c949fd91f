"""Runs that cover every pair of choices are resumed to the bit, and are the same in two processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from covering import (
    FACTORS,
    INCOMPATIBLE,
    Row,
    compatible,
    covering_choices,
    covering_set,
    name_of,
    pairs_of,
    required_pairs,
    settings,
    with_covering,
    write_images,
)
from two_ranks import differing, far_apart, in_one_process, rewound, train_in_two

from restore.config import TrainingConfig
from restore.registry import Registry
from restore.training import train

ROWS = covering_set()

PAPERS: Mapping[str, Mapping[str, Any]] = {
    "esrgan": {
        "loss": "esrgan",
        "terms": {"perceptual": {"layers": "conv1_2:1.0"}},
        "adversary": {"discriminator": {"width": 4, "hidden": 8}},
        "patch_size": 64,  # of smaller ones it would normalize single pixels
    },
    "realesrgan": {
        "loss": "realesrgan",
        "terms": {"perceptual": {"layers": "conv1_2:0.1"}},
        "adversary": {"discriminator": {"width": 4}},
    },
}
"""The objectives of the papers, with networks that take a moment."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    write_images(folder)
    return folder


@pytest.fixture(scope="module")
def registry(toys: Registry) -> Registry:
    return with_covering(toys)


def test_every_pair_of_choices_that_can_be_combined_is_covered() -> None:
    covered = set[frozenset[tuple[str, str]]]().union(*map(pairs_of, ROWS))
    assert covered == set(required_pairs())
    assert not covered & INCOMPATIBLE.keys()


def test_the_first_choice_of_each_factor_can_be_combined_with_any_other() -> None:
    assert all(
        compatible({other: level}, factor, FACTORS[factor][0])
        for factor in FACTORS
        for other in FACTORS
        for level in FACTORS[other]
        if other != factor
    )


@pytest.mark.parametrize("row", [pytest.param(row, id=name_of(row)) for row in ROWS])
def test_a_run_of_the_covering_set_is_resumed_to_the_bit(
    row: Row, images: Path, registry: Registry, tmp_path: Path
) -> None:
    config = TrainingConfig.model_validate(settings(row, images, devices=1, nodes=1))
    whole = train(config, registry, tmp_path / "whole")
    assert whole.step == (3 if row["validation"] == "early-stop" else 4)
    rewound(tmp_path / "whole", tmp_path / "resumed")
    resumed = train(config, registry, tmp_path / "resumed", resume=True)
    assert resumed.step == whole.step
    assert differing(tmp_path / "resumed", tmp_path / "whole") == []


def test_two_processes_train_as_one_does_and_resume_to_the_bit(
    images: Path, registry: Registry, tmp_path: Path, toy_site: Path
) -> None:
    runs = {name_of(row): settings(row, images) for row in covering_choices(ROWS)}
    runs |= {name: {**settings(ROWS[0], images), **changes} for name, changes in PAPERS.items()}
    assert train_in_two(runs, tmp_path, toy_site) == {}
    problems = {}
    for number, (name, fields) in enumerate(runs.items()):
        folder = tmp_path / str(number)
        problems[name] = differing(folder / "resumed", folder / "whole")
        alone = in_one_process(fields)
        if alone is not None:
            train(TrainingConfig.model_validate(alone), registry, folder / "one")
            problems[name] += far_apart(folder / "whole", folder / "one")
    assert {name: found for name, found in problems.items() if found} == {}
