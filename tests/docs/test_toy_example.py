"""The toy example of the page about adversarial losses: its measurements, and that it runs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from pages import ROOT
from torch import Tensor, nn


@pytest.fixture(scope="module")
def toy() -> Iterator[ModuleType]:
    specification = importlib.util.spec_from_file_location(
        "toy_example", ROOT / "docs" / "explanation" / "toy_example.py"
    )
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, specification.name, module)  # its dataclass needs the module there
        specification.loader.exec_module(module)
        threads = torch.get_num_threads()  # the example sets one thread
        yield module
        torch.set_num_threads(threads)


class Constant(nn.Module):
    """A network that returns one image for every input."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = image

    def forward(self, _: Tensor) -> Tensor:
        return self.image


def test_bars_are_distinguished_from_their_mean(toy: ModuleType) -> None:
    target = toy.draw(8, torch.Generator().manual_seed(0))
    mean = toy.reduce(target).repeat_interleave(2, 2).repeat_interleave(2, 3)
    blurred = toy.measure(Constant(mean), target)
    assert (blurred.from_mean, blurred.from_solution, blurred.bars) == (0, 0.5, 0)
    sharp = toy.measure(Constant(target), target)
    assert (sharp.from_mean, sharp.from_solution, sharp.bars) == (0.5, 0, 1)


def test_all_bars_of_a_cell_are_downscaled_to_the_same_pixel(toy: ModuleType) -> None:
    for bar in toy.SOLUTIONS:
        assert toy.reduce(bar.expand(1, 3, 2, 2)).unique().tolist() == [0.5]


def test_it_trains_and_draws(toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy.main(steps=1, out=tmp_path / "toy.svg")
    assert "MSE + adversary" in capsys.readouterr().out
    assert (tmp_path / "toy.svg").read_text(encoding="utf-8").startswith("<?xml")
