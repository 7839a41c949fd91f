"""SOAP (Vyas et al., 2024, arXiv 2409.11321): Adam in the eigenbasis of the gradient's covariance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from restore_optimization.options import SoapOptions

__all__ = ["Soap", "build"]

_REFRESH = 10
"""Steps between two updates of a basis."""

_MEMORY = 0.95
"""Decay of the averaged covariances; lower than Adam's, because they follow the network."""

_LARGEST = 2048
"""Side of the largest covariance: the cost of its decomposition grows with the cube."""

_EPSILON = 1e-8

_NOISE = 1e-12
"""Fraction of a covariance's largest entry below which single precision is noise."""

_NOTHING = 1e-30
"""Squares and covariances below it are zero compared with `_EPSILON`."""


class Soap(torch.optim.Optimizer):
    """Adam in the eigenbasis of each layer's gradient covariance.

    Neighboring pixels are nearly equal, so the filters of a first layer have steep and flat directions that
    are not aligned with their entries, which Adam scales one by one. The weight of a layer is treated as a
    matrix, output channels by everything else; each of its two sides has a basis, updated every ten steps by
    one step of power iteration. Biases, and sides longer than 2048, keep the standard basis.

    The first gradient only initializes the bases: the weights move from the second step on, as in the paper.

    Args:
        parameters: real and dense.
        lr: learning rate; the best one is up to a few times that of Adam.
        betas: decay of the averages of the gradient and of its square.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update the weights by their gradients.

        Raises:
            ValueError: a closure was passed; the gradient has to be computed before.
        """
        if closure is not None:
            raise ValueError("Soap takes no closure: compute the gradient before the step")
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group["lr"], *group["betas"])

    def _move(self, weight: Tensor, slope: Tensor, rate: float, first: float, second: float) -> None:
        state = self.state[weight]
        gradient = slope.reshape(len(weight), -1) if weight.ndim > 1 else slope.reshape(1, -1)
        if not state:
            zeros = torch.zeros_like(gradient)
            state.update(step=torch.zeros(()), mean=zeros, square=zeros.clone())
            if weight.ndim > 1:
                state.update(_bases(gradient))
            return
        state["step"] += 1
        count = int(state["step"])
        state["mean"].lerp_(gradient, 1 - first)
        turned = _turn(gradient, state)
        state["square"].mul_(second).addcmul_(turned, turned, value=1 - second)
        # Bias correction as in Adam: both averages start at zero.
        spread = state["square"].div(1 - second**count).sqrt_().add_(_EPSILON)
        change = _turn_back(_turn(state["mean"], state).div_(spread), state)
        weight.add_(change.reshape(weight.shape), alpha=-rate / (1 - first**count))
        _track(gradient, state)
        if count % _REFRESH == 0:
            _correct(state)


def build(groups: Sequence[dict[str, Any]], options: SoapOptions) -> torch.optim.Optimizer:
    """SOAP."""
    return Soap(groups, betas=options.betas)


def _bases(gradient: Tensor) -> dict[str, Tensor]:
    """Covariances of rows and columns with their eigenvectors, largest eigenvalues first."""
    bases = {}
    for side, factor in (("left", gradient), ("right", gradient.T)):
        if 1 < len(factor) <= _LARGEST:
            covariance = (factor @ factor.T).mul_(1 - _MEMORY)
            bases[f"{side}_covariance"] = covariance
            bases[f"{side}_basis"] = torch.linalg.eigh(covariance).eigenvectors.flip(1).contiguous()
    return bases


def _turn(matrix: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    """`matrix` in the bases of `state`, as a new tensor."""
    if "left_basis" in state:
        matrix = state["left_basis"].T @ matrix
    return matrix @ state["right_basis"] if "right_basis" in state else matrix.clone()


def _turn_back(matrix: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    if "left_basis" in state:
        matrix = state["left_basis"] @ matrix
    return matrix @ state["right_basis"].T if "right_basis" in state else matrix


def _track(gradient: Tensor, state: Mapping[str, Tensor]) -> None:
    """Move the covariances toward those of `gradient`."""
    for side, factor in (("left", gradient), ("right", gradient.T)):
        if f"{side}_covariance" in state:
            state[f"{side}_covariance"].lerp_(factor @ factor.T, 1 - _MEMORY)


def _correct(state: dict[str, Tensor]) -> None:
    """Rotate each basis toward the eigenvectors of its covariance, and the averages kept in it as well.

    One step of power iteration from the old basis (Algorithm 4 of the paper). Vectors only change their
    order, so that the averaged squares still belong to them.
    """
    for name in ("mean", "square"):
        _clear(state[name], _NOTHING)
    for dimension, side in enumerate(("left", "right")):
        if f"{side}_basis" not in state:
            continue
        basis, covariance = state[f"{side}_basis"], state[f"{side}_covariance"]
        largest = float(covariance.diagonal().amax())
        _clear(covariance, max(_NOISE * largest, _NOTHING))
        # Directions without any gradient would be rotated at random: a little of the old basis fixes them.
        image = torch.addmm(basis, covariance, basis, beta=max(_NOISE * largest, _NOTHING))
        order = (basis * image).sum(0).argsort(descending=True)
        state["square"] = state["square"].index_select(dimension, order)
        # Row-major, as a checkpoint stores it: products of another layout differ in their last bits.
        state[f"{side}_basis"] = _clear(torch.linalg.qr(image[:, order]).Q.contiguous(), _NOISE)


def _clear(tensor: Tensor, least: float) -> Tensor:
    """Set entries smaller than `least` to zero, in place.

    The averages of a filter that no longer responds decay into denormal numbers, with which a processor
    multiplies a hundred times more slowly.
    """
    return tensor.mul_(tensor.abs() >= least)
