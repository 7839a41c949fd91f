"""Everything about a run that changes while it trains, and how it is saved and taken back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from restore.checkpoint import Checkpoint, WeightsCard, save_checkpoint, save_weights
from restore.errors import TrainingError
from restore.registry import Registry
from restore.training.objective import Objective, Opponent
from restore.training.optimisation import Average
from restore.training.setup import Plan, make_opponent, versions

__all__ = ["Session", "begin", "restore", "save"]


@dataclass
class Session:
    """The players and their state."""

    plan: Plan
    fabric: Fabric
    generator: nn.Module
    """As Fabric wrapped it."""
    optimizer: torch.optim.Optimizer
    average: Average
    objective: Objective
    opponent: Opponent
    step: int = 0
    skipped: int = 0
    """Steps in a row without an update, because the gradient was not finite."""
    figures: dict[str, float] | None = None
    """Of the last validation."""

    @property
    def modules(self) -> dict[str, nn.Module]:
        """All networks of a checkpoint."""
        return {"generator": self.generator, "average": self.average.module} | self.opponent.state()[0]

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """All optimisers of a checkpoint."""
        return {"generator": self.optimizer} | self.opponent.state()[1]


def begin(plan: Plan, registry: Registry, fabric: Fabric) -> Session:
    """A session before its first step.

    Raises:
        TrainingError: the model has nothing to learn.
        UsageError: a loss or discriminator is unknown, or an option of one is wrong.
    """
    config = plan.config
    torch.manual_seed(config.seed)
    network = plan.generator().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise TrainingError(f"model '{config.model}' has nothing to learn: choose another --model")
    average = Average(network, config.ema)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, betas=config.betas)
    generator, wrapped = fabric.setup(network, optimizer)
    average.module.to(fabric.device)
    objective = Objective(plan.objective, registry).to(fabric.device)
    opponent = make_opponent(plan, registry, fabric)
    return Session(plan, fabric, generator, wrapped, average, objective, opponent)


def save(session: Session, run: Path) -> None:
    """Write a checkpoint, and the averaged generator as the weights that can be used.

    Raises:
        TrainingError: the disk is full or the folder cannot be written; earlier checkpoints stay whole.
    """
    tensors = {name: _state_of(module) for name, module in session.modules.items()}
    groups: dict[str, Any] = {}
    for name, optimizer in session.optimizers.items():
        tensors[f"optimizer-{name}"], groups[name] = _flatten(optimizer)
    tensors["random"] = {"torch": torch.get_rng_state()}
    state = {
        "optimizers": groups,
        "opponent": session.opponent.state()[2],
        "skipped": session.skipped,
        "figures": session.figures,
    }
    try:
        save_checkpoint(run / "checkpoints", Checkpoint(session.step, tensors, state))
        save_weights(run / "generator.safetensors", session.average.module, card(session))
    except OSError as error:
        raise TrainingError(
            f"cannot save the run in '{run}' at step {session.step}: {error.strerror or error}; make room and "
            f"go on with --resume --run {run}"
        ) from error


def restore(session: Session, checkpoint: Checkpoint) -> None:
    """Put `session` into the state of `checkpoint`."""
    session.step = checkpoint.step
    for name, module in session.modules.items():
        _unwrapped(module).load_state_dict(dict(checkpoint.tensors[name]))
    for name, optimizer in session.optimizers.items():
        tensors, groups = checkpoint.tensors[f"optimizer-{name}"], checkpoint.state["optimizers"][name]
        optimizer.load_state_dict(_unflatten(tensors, groups))
    torch.set_rng_state(checkpoint.tensors["random"]["torch"])
    session.opponent.restore(checkpoint.state["opponent"])
    session.skipped = checkpoint.state["skipped"]
    session.figures = checkpoint.state["figures"]


def card(session: Session) -> WeightsCard:
    """What the weights of this session say about themselves."""
    plan = session.plan
    return WeightsCard(
        model=plan.model.name,
        scale=plan.config.scale,
        options=plan.options.model_dump(mode="json"),
        objective=plan.objective.name,
        steps=session.step,
        data=plan.fingerprint,
        figures=session.figures or {},
        versions=versions(),
    )


def _unwrapped(module: nn.Module) -> nn.Module:
    inner: nn.Module = getattr(module, "module", module)
    return inner


def _state_of(module: nn.Module) -> dict[str, Tensor]:
    state: dict[str, Tensor] = _unwrapped(module).state_dict()
    return state


def _flatten(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """An optimiser's state as named tensors, and its groups as JSON has them."""
    content = optimizer.state_dict()
    tensors = {
        f"{index}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for index, values in content["state"].items()
        for name, value in values.items()
    }
    return tensors, content["param_groups"]


def _unflatten(tensors: Any, groups: list[dict[str, Any]]) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": groups}
