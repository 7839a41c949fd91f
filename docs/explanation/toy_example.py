"""Reproduce Figure 2 of the EnhanceNet paper: ``python docs/explanation/toy_example.py``.

Targets are bars of 1x2 and 2x1 white pixels on black, one in some of the cells of 2x2 pixels. Downscaled by
two, each of the four bars of a cell becomes the same gray pixel, so the input does not determine the bar.
A small version of EnhanceNet's generator is trained to restore them, first with MSE alone, then with an
additional adversarial loss. Prints the distances of the results from the mean of the four solutions and
from the nearest solution, and the share of cells that contain a bar. Draws ``docs/pictures/toy-example.svg``.
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
"""Cells along a side of an image; each is one pixel of the input."""
SHARE = 0.3
"""Share of the cells that contain a bar."""
BATCH = 32
MSE_WEIGHT = 3.0
"""Relative to an adversarial loss of weight 1. Without it, bars appear where the input has none."""
NEAR = 0.25
"""Largest difference of a pixel from that of a bar."""

SOLUTIONS = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [1, 1]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]]).float()
"""``(4, 2, 2)``: the four possible bars of a cell."""


@dataclass(frozen=True)
class Result:
    """Measurements of the cells in which the input has a bar."""

    psnr: float
    """dB, over whole images."""
    from_mean: float
    """Root mean squared difference between a cell and the mean of its solutions, in [0, 1]."""
    from_solution: float
    """The same between a cell and the nearest of its solutions."""
    bars: float
    """Share of cells in which each pixel is within `NEAR` of that of one solution."""


def draw(images: int, random: torch.Generator) -> Tensor:
    """Return ``(images, 3, 2*CELLS, 2*CELLS)``: random bars in random cells."""
    shape = (images, CELLS, CELLS)
    chosen = SOLUTIONS[torch.randint(len(SOLUTIONS), shape, generator=random)]
    chosen = chosen * (torch.rand(shape, generator=random) < SHARE)[..., None, None]
    pixels = chosen.permute(0, 1, 3, 2, 4).reshape(images, 1, 2 * CELLS, 2 * CELLS)
    return pixels.expand(-1, 3, -1, -1)


def reduce(target: Tensor) -> Tensor:
    """Return the mean of each cell: ``(B, 3, 2*H, 2*W)`` -> ``(B, 3, H, W)``."""
    return F.avg_pool2d(target, 2)


def train_mse(steps: int, seed: int = 0) -> Generator:
    """Train EnhanceNet's generator, with 32 feature maps and 4 residual blocks, with MSE alone."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    generator = Generator(2, width=32, blocks=4)
    optimizer = torch.optim.Adam(generator.parameters(), 1e-3)
    for _ in range(steps):
        target = draw(BATCH, random)
        _step(optimizer, F.mse_loss(generator(reduce(target)), target))
    return generator


def train_adversary(generator: Generator, steps: int, seed: int = 1) -> Generator:
    """Continue training with the adversarial loss of the paper, Eq. 8 and 9, and its gate."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    discriminator = Discriminator(2 * CELLS, width=16, hidden=128)
    gate, scores = PerformanceGate(), None
    optimizer = torch.optim.Adam(generator.parameters(), 5e-4, betas=(0.5, 0.9))
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3, betas=(0.5, 0.9))
    for _ in range(steps):
        target = draw(BATCH, random)
        restored = generator(reduce(target))
        adversarial = F.softplus(-discriminator(restored)).mean()
        _step(optimizer, adversarial + MSE_WEIGHT * F.mse_loss(restored, target))
        scores = _discriminator_step(
            discriminator, discriminator_optimizer, restored.detach(), target, train=gate.is_open(scores)
        )
    return generator


def measure(generator: nn.Module, target: Tensor) -> Result:
    """Restore the inputs of `target` and compare the cells that contain a bar with the solutions."""
    with torch.inference_mode():
        restored = generator(reduce(target)).clamp(0, 1)
    cells = restored.mean(1).unfold(1, 2, 2).unfold(2, 2, 2)  # (B, CELLS, CELLS, 2, 2)
    bars = cells[reduce(target)[:, 0] > 0]  # (bars, 2, 2)
    from_mean = (bars - SOLUTIONS.mean(0)).square().mean()
    from_each = (bars[:, None] - SOLUTIONS).square().mean((2, 3))  # (bars, 4)
    return Result(
        psnr(restored, target, data_range=1),
        from_mean.sqrt().item(),
        from_each.amin(1).mean().sqrt().item(),
        ((bars[:, None] - SOLUTIONS).abs() < NEAR).all(3).all(2).any(1).float().mean().item(),
    )


def _discriminator_step(
    discriminator: nn.Module, optimizer: torch.optim.Optimizer, fake: Tensor, real: Tensor, *, train: bool
) -> Scores:
    with torch.set_grad_enabled(train):
        real_logits, fake_logits = discriminator(torch.cat([real, fake])).chunk(2)
    if train:
        _step(optimizer, F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean())
    return Scores(real_logits.sigmoid().mean().item(), (-fake_logits).sigmoid().mean().item())


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()


def _plot(panels: dict[str, Tensor], file: Path) -> None:
    """Draw images of shape ``(3, H, W)`` side by side."""
    mpl.rcParams |= {"svg.hashsalt": "restore", "svg.fonttype": "none"}  # reproducible files
    figure = Figure(figsize=(9, 2.52), layout="constrained")
    for axes, (title, image) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.savefig(file, metadata={"Date": None})


def main(
    steps: Annotated[
        int, typer.Option(help="Steps with MSE; three times as many follow with the adversarial loss.")
    ] = 500,
    out: Annotated[Path, typer.Option(help="Output file (SVG).")] = PICTURE,
) -> None:
    """Train both networks, print the table and draw the figure."""
    torch.set_num_threads(1)  # small networks are slower on several
    begin = time.perf_counter()
    target = draw(256, torch.Generator().manual_seed(2))
    networks = {"MSE": train_mse(steps)}
    networks["MSE + adversary"] = train_adversary(deepcopy(networks["MSE"]), 3 * steps)
    rows = []
    panels = {"target": target[0], "input": reduce(target)[0]}
    for name, generator in networks.items():
        result = measure(generator, target)
        distances = (f"{distance:.3f}" for distance in (result.from_mean, result.from_solution))
        rows.append([name, f"{result.psnr:.2f}", *distances, f"{100 * result.bars:.0f}"])
        with torch.inference_mode():
            panels[name] = generator(reduce(target[:1]))[0].clamp(0, 1)
    typer.echo(plain_table(["objective", "PSNR (dB)", "from the mean", "from a bar", "bars (%)"], rows))
    _plot(panels, out)
    typer.echo(f"{time.perf_counter() - begin:.0f} s, {out.name}")


if __name__ == "__main__":
    typer.run(main)
