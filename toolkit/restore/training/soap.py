"""SOAP (Vyas et al., 2024, arXiv 2409.11321): Adam in the eigenbasis of the gradient's covariance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Soap"]

_REFRESH = 10
"""Steps between two corrections of a basis."""

_MEMORY = 0.95
"""Decay of the averaged covariances; shorter than Adam's, as they follow the network."""

_LARGEST = 2048
"""Side of the largest covariance that is kept: its decomposition grows with the cube of it."""

_EPSILON = 1e-8

_NOISE = 1e-12
"""Share of a covariance's largest entry that says nothing in single precision."""

_NOTHING = 1e-30
"""Square, and covariance, that is as good as zero beside `_EPSILON`."""


class Soap(torch.optim.Optimizer):
    """Adam that sees each layer in the eigenbasis of its gradient's covariance.

    Neighbouring pixels are nearly equal, so the filters of a first layer have steep and flat directions
    that lie across their entries; Adam scales entries and cannot tell them apart. The weight of a layer
    counts as a matrix, output channels by everything else; each of its two sides has a basis, which is
    corrected every ten steps by one step of power iteration. Biases, and sides longer than 2048, keep the
    basis they have.

    The first gradient only gives the bases: the weights move from the second step on, as in the paper.

    Args:
        parameters: what learns; real, dense.
        lr: learning rate; the best one is up to a few times Adam's.
        betas: decay of the averages of the gradient and of its square.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Change the weights by their gradients.

        Raises:
            ValueError: a closure was given; the gradient has to be there already.
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
        # As in Adam, both averages began at zero.
        spread = state["square"].div(1 - second**count).sqrt_().add_(_EPSILON)
        change = _turn_back(_turn(state["mean"], state).div_(spread), state)
        weight.add_(change.reshape(weight.shape), alpha=-rate / (1 - first**count))
        _observe(gradient, state)
        if count % _REFRESH == 0:
            _correct(state)


def _bases(gradient: Tensor) -> dict[str, Tensor]:
    """Covariances of rows and columns with their eigenvectors, those of the largest eigenvalues first."""
    bases = {}
    for side, factor in (("left", gradient), ("right", gradient.T)):
        if 1 < len(factor) <= _LARGEST:
            covariance = (factor @ factor.T).mul_(1 - _MEMORY)
            bases[f"{side}_covariance"] = covariance
            bases[f"{side}_basis"] = torch.linalg.eigh(covariance).eigenvectors.flip(1).contiguous()
    return bases


def _turn(matrix: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    """`matrix` seen in the bases of `state`: a new tensor."""
    if "left_basis" in state:
        matrix = state["left_basis"].T @ matrix
    return matrix @ state["right_basis"] if "right_basis" in state else matrix.clone()


def _turn_back(matrix: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    if "left_basis" in state:
        matrix = state["left_basis"] @ matrix
    return matrix @ state["right_basis"].T if "right_basis" in state else matrix


def _observe(gradient: Tensor, state: Mapping[str, Tensor]) -> None:
    """Move the covariances towards those of `gradient`."""
    for side, factor in (("left", gradient), ("right", gradient.T)):
        if f"{side}_covariance" in state:
            state[f"{side}_covariance"].lerp_(factor @ factor.T, 1 - _MEMORY)


def _correct(state: dict[str, Tensor]) -> None:
    """Turn each basis towards the eigenvectors of its covariance, and what is kept in it with it.

    One step of power iteration from the old basis (Algorithm 4 of the paper): vectors keep their places but
    for their order, so that the averaged squares still belong to them.
    """
    for name in ("mean", "square"):
        _clear(state[name], _NOTHING)
    for dimension, side in enumerate(("left", "right")):
        if f"{side}_basis" not in state:
            continue
        basis, covariance = state[f"{side}_basis"], state[f"{side}_covariance"]
        largest = float(covariance.diagonal().amax())
        _clear(covariance, max(_NOISE * largest, _NOTHING))
        # Directions without any gradient would be turned at random: a little of the old basis holds them.
        image = torch.addmm(basis, covariance, basis, beta=max(_NOISE * largest, _NOTHING))
        order = (basis * image).sum(0).argsort(descending=True)
        state["square"] = state["square"].index_select(dimension, order)
        state[f"{side}_basis"] = _clear(torch.linalg.qr(image[:, order]).Q, _NOISE)


def _clear(tensor: Tensor, least: float) -> Tensor:
    """Set to zero, in place, what is smaller than `least`.

    What belongs to a filter that no longer answers decays into numbers with which a processor multiplies
    a hundred times more slowly.
    """
    return tensor.mul_(tensor.abs() >= least)
