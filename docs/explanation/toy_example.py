"""Figure 2 of the EnhanceNet paper, trained anew: ``python docs/explanation/toy_example.py``.

Targets are bars of 1x2 and 2x1 white pixels on black, one in some of the cells of 2x2 pixels. Reduced by
two, each of the four bars of a cell becomes the same gray pixel: which one it was cannot be known.
EnhanceNet's generator, made small, learns to restore them twice: with MSE, and with an adversary on top.
Prints how far the results are from the mean of the four solutions and from the nearest one, and how many
cells hold a bar, and draws ``docs/pictures/toy-example.svg``.
"""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import matplotlib as mpl
import torch
import torch.nn.functional as F
import typer
from matplotlib.figure import Figure
from torch import Tensor, nn

from restore.interfaces import Scores
from restore.metrics import psnr
from restore.report import plain_table
from restore_enhancenet.discriminator import Discriminator
from restore_enhancenet.gate import PerformanceGate
from restore_enhancenet.generator import Generator

PICTURE = Path(__file__).parents[1] / "pictures" / "toy-example.svg"
CELLS = 8
"""Cells along a side of an image, which are the pixels of its input."""
SHARE = 0.3
"""Of the cells that hold a bar."""
BATCH = 32
MSE_WEIGHT = 3.0
"""Beside an adversarial term of weight 1; without it bars would be where the input has none."""
NEAR = 0.25
"""How far each pixel may be from that of a bar."""

SOLUTIONS = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [1, 1]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]]).float()
"""``(4, 2, 2)``: the bars of a cell."""


@dataclass(frozen=True)
class Found:
    """How results look where the input has a bar."""

    psnr: float
    """dB, over whole images."""
    from_mean: float
    """Root of the mean squared difference between a cell and the mean of its solutions, in [0, 1]."""
    from_solution: float
    """The same between a cell and the nearest of its solutions."""
    bars: float
    """Share of cells that are one of the solutions, each pixel to within `NEAR`."""


def draw(images: int, random: torch.Generator) -> Tensor:
    """``(images, 3, 2*CELLS, 2*CELLS)``: bars of random directions in random cells."""
    shape = (images, CELLS, CELLS)
    chosen = SOLUTIONS[torch.randint(len(SOLUTIONS), shape, generator=random)]
    chosen = chosen * (torch.rand(shape, generator=random) < SHARE)[..., None, None]
    pixels = chosen.permute(0, 1, 3, 2, 4).reshape(images, 1, 2 * CELLS, 2 * CELLS)
    return pixels.expand(-1, 3, -1, -1)


def reduce(target: Tensor) -> Tensor:
    """The mean of each cell: ``(B, 3, 2*H, 2*W)`` to ``(B, 3, H, W)``."""
    return F.avg_pool2d(target, 2)


def train_mse(steps: int, seed: int = 0) -> Generator:
    """EnhanceNet's generator, of 32 feature maps and 4 residual blocks, with MSE alone."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    generator = Generator(2, width=32, blocks=4)
    optimiser = torch.optim.Adam(generator.parameters(), 1e-3)
    for _ in range(steps):
        target = draw(BATCH, random)
        _step(optimiser, F.mse_loss(generator(reduce(target)), target))
    return generator


def train_adversary(generator: Generator, steps: int, seed: int = 1) -> Generator:
    """Go on with the adversary of the paper, Eq. 8 and 9, behind its gate."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    discriminator = Discriminator(2 * CELLS, width=16, hidden=128)
    gate, scores = PerformanceGate(), None
    optimiser = torch.optim.Adam(generator.parameters(), 5e-4, betas=(0.5, 0.9))
    opponent = torch.optim.Adam(discriminator.parameters(), 1e-3, betas=(0.5, 0.9))
    for _ in range(steps):
        target = draw(BATCH, random)
        restored = generator(reduce(target))
        likely = F.softplus(-discriminator(restored)).mean()
        _step(optimiser, likely + MSE_WEIGHT * F.mse_loss(restored, target))
        scores = _oppose(discriminator, opponent, restored.detach(), target, learns=gate.is_open(scores))
    return generator


def look(generator: nn.Module, target: Tensor) -> Found:
    """Restore the inputs of `target` and compare the cells with bars with what they could be."""
    with torch.inference_mode():
        restored = generator(reduce(target)).clamp(0, 1)
    cells = restored.mean(1).unfold(1, 2, 2).unfold(2, 2, 2)  # (B, CELLS, CELLS, 2, 2)
    held = cells[reduce(target)[:, 0] > 0]  # (bars, 2, 2)
    from_mean = (held - SOLUTIONS.mean(0)).square().mean()
    from_each = (held[:, None] - SOLUTIONS).square().mean((2, 3))  # (bars, 4)
    return Found(
        psnr(restored, target, data_range=1),
        from_mean.sqrt().item(),
        from_each.amin(1).mean().sqrt().item(),
        ((held[:, None] - SOLUTIONS).abs() < NEAR).all(3).all(2).any(1).float().mean().item(),
    )


def _oppose(
    discriminator: nn.Module, optimiser: torch.optim.Optimizer, fake: Tensor, true: Tensor, *, learns: bool
) -> Scores:
    with torch.set_grad_enabled(learns):
        real, generated = discriminator(torch.cat([true, fake])).chunk(2)
    if learns:
        _step(optimiser, F.softplus(-real).mean() + F.softplus(generated).mean())
    return Scores(real.sigmoid().mean().item(), (-generated).sigmoid().mean().item())


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()


def _plot(panels: dict[str, Tensor], file: Path) -> None:
    """Images of ``(3, H, W)`` side by side."""
    mpl.rcParams |= {"svg.hashsalt": "restore", "svg.fonttype": "none"}  # equal pictures give equal files
    figure = Figure(figsize=(9, 2.52), layout="constrained")
    for axes, (title, image) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.savefig(file, metadata={"Date": None})


def main(
    steps: Annotated[int, typer.Option(help="With MSE, and three times as many with the adversary.")] = 500,
    out: Annotated[Path, typer.Option(help="The picture.")] = PICTURE,
) -> None:
    """Train both, print the table and draw the picture."""
    torch.set_num_threads(1)  # networks so small are slower on several
    begin = time.perf_counter()
    target = draw(256, torch.Generator().manual_seed(2))
    networks = {"MSE": train_mse(steps)}
    networks["MSE + adversary"] = train_adversary(deepcopy(networks["MSE"]), 3 * steps)
    rows = []
    panels = {"target": target[0], "input": reduce(target)[0]}
    for name, generator in networks.items():
        found = look(generator, target)
        distances = (f"{distance:.3f}" for distance in (found.from_mean, found.from_solution))
        rows.append([name, f"{found.psnr:.2f}", *distances, f"{100 * found.bars:.0f}"])
        with torch.inference_mode():
            panels[name] = generator(reduce(target[:1]))[0].clamp(0, 1)
    typer.echo(plain_table(["objective", "PSNR (dB)", "from the mean", "from a bar", "bars (%)"], rows))
    _plot(panels, out)
    typer.echo(f"{time.perf_counter() - begin:.0f} s, {out.name}")


if __name__ == "__main__":
    typer.run(main)
