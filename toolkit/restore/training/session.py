"""Everything about a run that changes while it trains, and how it is saved and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from restore.checkpoint import Checkpoint, WeightsCard, save_checkpoint, save_weights
from restore.config import CONFIG_FILE, write_toml
from restore.errors import TrainingError, UsageError
from restore.files import atomic_folder
from restore.inference import choose_precision
from restore.interfaces import Adversary, parse, prepare
from restore.registry import Registry
from restore.training.adversarial import NoOpponent, Opponent, Rival
from restore.training.compiler import check_compiler, compiled
from restore.training.learner import Learner
from restore.training.objective import Objective
from restore.training.optimization import Average, seed_everything
from restore.training.processes import Team
from restore.training.setup import Plan
from restore.training.soap import Soap
from restore.versions import versions

__all__ = ["CHECKPOINTS", "WEIGHTS_FILE", "Session", "begin", "create", "make_ready", "restore", "save"]

CHECKPOINTS = "checkpoints"
WEIGHTS_FILE = "generator.safetensors"


@dataclass
class Session:
    """The players and their state."""

    plan: Plan
    team: Team
    learner: Learner
    """The generator and its optimiser."""
    average: Average
    objective: Objective
    opponent: Opponent
    step: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    """What a validation after the last step measured."""

    @property
    def generator(self) -> nn.Module:
        """The network that learns, as Fabric wrapped it."""
        return self.learner.module

    @property
    def learners(self) -> dict[str, Learner]:
        """Everybody who learns."""
        return {"generator": self.learner} | self.opponent.learners()

    @property
    def skipped(self) -> int:
        """Updates that were not done, because something was not finite."""
        return sum(learner.skipped for learner in self.learners.values())

    @property
    def problem(self) -> str:
        """What was not finite in the last step, and whose; empty if all is well."""
        found = [
            f"{learner.problem} of the {name}" for name, learner in self.learners.items() if learner.problem
        ]
        return found[0] if found else ""

    @property
    def modules(self) -> dict[str, nn.Module]:
        """All networks of a checkpoint."""
        own = {"average": self.average.module, "objective": self.objective}
        return own | {name: learner.module for name, learner in self.learners.items()}


def begin(plan: Plan, registry: Registry, team: Team) -> Session:
    """A session before its first step.

    Raises:
        UsageError: the model has nothing to learn, or a loss, a discriminator or an option of
            one is unknown or wrong.
    """
    config = plan.config
    if config.compile:
        team.each(lambda: check_compiler(team.fabric.device))
    seed_everything(config.seed)
    network = plan.generator().to(memory_format=torch.channels_last)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError(f"model '{config.model}' has nothing to learn: choose another --model")
    objective = Objective(plan.objective, registry).eval().requires_grad_(requires_grad=False)
    average = Average(network, config.ema)
    average.module.to(team.fabric.device)
    learner = _learner(network, plan, team, config.lr)
    opponent = _opponent(plan, registry, team)
    return Session(plan, team, learner, average, objective.to(team.fabric.device), opponent)


def make_ready(session: Session) -> None:
    """Prepare the losses: first in the leader, whose measurements the other processes take over.

    Raises:
        RestoreError: a loss cannot fetch what it needs.
    """
    objective, team, samples = session.objective, session.team, session.plan.samples
    team.lead(lambda: prepare(objective, samples))
    objective.load_state_dict(team.share(objective.state_dict()))
    team.each(lambda: prepare(objective, samples))


def create(session: Session, run: Path) -> None:
    """Make the folder of a run with its configuration and a first checkpoint, so that it can be resumed.

    Raises:
        TrainingError: the folder cannot be written; nothing is left of it.
    """
    try:
        # Renaming a whole folder into place needs a free place; an empty folder is filled where it is.
        with nullcontext(run) if run.exists() else atomic_folder(run) as folder:
            _write(session, folder)
            write_toml(session.plan.config, folder / CONFIG_FILE)
    except OSError as error:
        raise TrainingError(
            f"cannot write the run into '{run}': {error.strerror or error}; choose another --run"
        ) from error


def save(session: Session, run: Path) -> None:
    """Write a checkpoint, and the averaged generator as the weights that can be used.

    Raises:
        TrainingError: the disk is full or the folder cannot be written; earlier checkpoints stay whole.
    """
    try:
        _write(session, run)
    except OSError as error:
        raise TrainingError(
            f"cannot save the run in '{run}' at step {session.step}: {error.strerror or error}; make room "
            f"and go on with --resume --run {run}"
        ) from error


def restore(session: Session, checkpoint: Checkpoint) -> None:
    """Put `session` into the state of `checkpoint`.

    Raises:
        TrainingError: the images or the networks are not those of the checkpoint.
    """
    state = checkpoint.state
    if state.get("data", session.plan.fingerprint) != session.plan.fingerprint:
        raise TrainingError(
            "the training images are not those with which the run began: put them back, or start a new run "
            "with --init"
        )
    try:
        for name, module in session.modules.items():
            module.load_state_dict(dict(checkpoint.tensors[name]))
        for name, learner in session.learners.items():
            tensors, groups = checkpoint.tensors[f"optimizer-{name}"], state["optimizers"][name]
            learner.optimizer.load_state_dict(_unflatten(tensors, groups))
            learner.restore(state["learners"][name])
        session.opponent.restore(state["opponent"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"the checkpoint of step {checkpoint.step} does not fit what the plugins build now: resume with "
            f"the versions that wrote it, or start a new run"
        ) from error
    session.step, session.figures = checkpoint.step, state["figures"]


def _learner(network: nn.Module, plan: Plan, team: Team, peak: float) -> Learner:
    """`network` on its device, compiled if the user wants it, with its optimiser."""
    config, device = plan.config, team.fabric.device
    kind = {"adam": torch.optim.Adam, "soap": Soap}[config.optimizer]
    optimizer = kind(network.parameters(), lr=peak, betas=config.betas)
    # Fabric compiles what it wraps, and keeps the names that the network has without it.
    module, wrapped = team.fabric.setup(compiled(network) if config.compile else network, optimizer)
    scaled = choose_precision(config.precision, device) == torch.float16
    return Learner(module, wrapped, team, peak=peak, parts=config.accumulate, clip=config.clip, scaled=scaled)


def _opponent(plan: Plan, registry: Registry, team: Team) -> Opponent:
    adversary = plan.objective.adversary
    return NoOpponent() if adversary is None else _rival(adversary, plan, registry, team)


def _rival(adversary: Adversary, plan: Plan, registry: Registry, team: Team) -> Rival:
    spec = registry.discriminators[adversary.discriminator]
    options = parse(spec.options, adversary.options, f"discriminator '{spec.name}'")
    network = spec.build(plan.patches.patch, options).to(memory_format=torch.channels_last)
    peak = plan.config.lr_discriminator or plan.config.lr
    return Rival(adversary.weight, adversary.gate, _learner(network, plan, team, peak))


def _write(session: Session, folder: Path) -> None:
    # The weights first: a run that was killed after its last checkpoint has nothing left to do.
    save_weights(folder / WEIGHTS_FILE, session.average.module, _card(session))
    save_checkpoint(folder / CHECKPOINTS, _checkpoint(session))


def _checkpoint(session: Session) -> Checkpoint:
    tensors: dict[str, Mapping[str, Tensor]] = {
        name: module.state_dict() for name, module in session.modules.items()
    }
    groups: dict[str, Any] = {}
    for name, learner in session.learners.items():
        tensors[f"optimizer-{name}"], groups[name] = _flatten(learner.optimizer)
    state = {
        "data": session.plan.fingerprint,
        "optimizers": groups,
        "learners": {name: learner.state() for name, learner in session.learners.items()},
        "opponent": session.opponent.state(),
        "figures": session.figures,
    }
    return Checkpoint(session.step, tensors, state)


def _card(session: Session) -> WeightsCard:
    """What the weights of this session say about themselves."""
    plan = session.plan
    return WeightsCard(
        model=plan.model.name,
        scale=plan.config.scale,
        options=plan.options.model_dump(mode="json"),
        objective=plan.objective.name,
        steps=session.step,
        data=plan.fingerprint,
        figures=session.figures,
        versions=versions("lightning-fabric"),
    )


def _flatten(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """An optimiser's state as named tensors, and its groups as JSON has them."""
    content = optimizer.state_dict()
    tensors = {
        f"{index}.{name}": torch.as_tensor(value)
        for index, values in content["state"].items()
        for name, value in values.items()
    }
    return tensors, content["param_groups"]


def _unflatten(tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": groups}
