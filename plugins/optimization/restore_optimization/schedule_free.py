"""Schedule-free AdamW (Defazio et al. 2024, "The road less scheduled", arXiv 2405.15682)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ScheduleFreeAdamW"]


class ScheduleFreeAdamW(torch.optim.Optimizer):
    r"""AdamW that averages its weights instead of letting the learning rate fall; Algorithm 1 of the paper.

    Gradients are taken at ``y``, which is what the parameters hold; ``z`` moves by them; ``x`` is the average
    of the ``z`` and the result of the training:

    .. math::
        y_t = (1 - \beta_1) z_t + \beta_1 x_t, \quad
        z_{t+1} = z_t - \gamma_t \hat g_t - \gamma_t \lambda y_t, \quad
        x_{t+1} = (1 - c_{t+1}) x_t + c_{t+1} z_{t+1}

    with the gradient divided by the root of its averaged square, and
    ``c_{t+1} = gamma_t^2 / sum(gamma_i^2)`` for the highest rates so far. The parameters never hold ``x``:
    `averaged` computes it, so that validating changes nothing.

    Args:
        parameters: real and dense, or groups of them.
        lr: learning rate, for groups that bring none. One to ten times that of Adam with a schedule.
        betas: share of ``x`` in ``y``, above 0; decay of the averaged squared gradient.
        eps: added to the denominator.
        weight_decay: decoupled, for groups that bring none.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        own = {"steps": 0, "highest": 0.0, "weight_sum": 0.0}
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, defaults | own)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override] # no overloads
        """Move ``z`` by the gradients, ``x`` by ``z``, and give the parameters their new ``y``.

        Raises:
            ValueError: a closure was given; the gradient has to be there already.
        """
        if closure is not None:
            raise ValueError("ScheduleFreeAdamW takes no closure: compute the gradient before the step")
        for group in self.param_groups:
            group["steps"] += 1
            group["highest"] = max(group["highest"], group["lr"])
            weight = group["highest"] ** 2
            group["weight_sum"] += weight
            share = weight / group["weight_sum"] if group["weight_sum"] else 0.0
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group, share)

    def averaged(self, parameter: nn.Parameter) -> Tensor:
        """``x``, the weights to use in place of `parameter`."""
        state = self.state.get(parameter)
        if not state:
            return parameter.detach().clone()
        for group in self.param_groups:
            if any(parameter is each for each in group["params"]):
                return parameter.detach().lerp(state["z"], 1 - 1 / group["betas"][0])
        raise KeyError("the parameter is not one of this optimizer")

    def _move(self, y: Tensor, gradient: Tensor, group: dict[str, Any], share: float) -> None:
        state = self.state[y]
        if not state:
            state["z"], state["square"] = y.clone(), torch.zeros_like(y)
        z, square, rate = state["z"], state["square"], group["lr"]
        first, second = group["betas"]
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = (square / (1 - second ** group["steps"])).sqrt_().add_(group["eps"])
        update = (gradient / root).add_(y, alpha=group["weight_decay"])
        # (1 - b) z' + b x' in terms of y and z, so that x need not be kept.
        y.lerp_(z, share).add_(update, alpha=rate * (first * (1 - share) - 1))
        z.sub_(update, alpha=rate)
