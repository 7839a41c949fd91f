"""The state of a run that changes while it trains, and its conversion to and from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from restore.checkpoint import Checkpoint, channels_last
from restore.errors import TrainingError
from restore.inference import choose_precision
from restore.interfaces import prepare
from restore.training.adversarial import AdversarialTrainer, NoAdversary
from restore.training.compiler import compiled
from restore.training.learner import Learner
from restore.training.networks import Networks
from restore.training.objective import Objective
from restore.training.optimization import averaged
from restore.training.processes import ProcessGroup
from restore.training.setup import TrainingSetup
from restore.training.soap import Soap

__all__ = ["Session", "begin", "from_checkpoint", "prepare_losses", "to_checkpoint"]


@dataclass
class Session:
    """The networks of a run and their state."""

    setup: TrainingSetup
    group: ProcessGroup
    learner: Learner
    """The generator with its optimizer."""
    average: AveragedModel
    objective: Objective
    adversary: AdversarialTrainer | NoAdversary
    step: int = 0
    """Steps done."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Results of the validation after the last step; empty if there was none."""

    @property
    def generator(self) -> nn.Module:
        """The generator, as Fabric wrapped it."""
        return self.learner.module

    @property
    def learners(self) -> dict[str, Learner]:
        """All networks with an optimizer, by name."""
        return {"generator": self.learner} | self.adversary.learners()

    @property
    def skipped(self) -> int:
        """Updates that were skipped because something was not finite."""
        return sum(learner.skipped for learner in self.learners.values())

    @property
    def problem(self) -> str:
        """What was not finite in the last step, and in which network; empty if nothing."""
        found = [
            f"{learner.problem} of the {name}" for name, learner in self.learners.items() if learner.problem
        ]
        return found[0] if found else ""

    @property
    def modules(self) -> dict[str, nn.Module]:
        """All modules that a checkpoint saves, by name."""
        own = {"average": self.average.module, "objective": self.objective}
        return own | {name: learner.module for name, learner in self.learners.items()}


def begin(setup: TrainingSetup, networks: Networks, group: ProcessGroup) -> Session:
    """A session before its first step, with its networks on the device."""
    config, device = setup.config, group.fabric.device
    generator = channels_last(networks.generator)
    average = averaged(generator, config.ema).to(device)
    learner = _learner(generator, setup, group, config.lr)
    adversary: AdversarialTrainer | NoAdversary = NoAdversary()
    if networks.discriminator is not None and setup.objective.adversary is not None:
        peak = config.lr_discriminator or config.lr
        discriminator = _learner(channels_last(networks.discriminator), setup, group, peak)
        spec = setup.objective.adversary
        adversary = AdversarialTrainer(spec.weight, spec.gate, discriminator)
    return Session(setup, group, learner, average, networks.objective.to(device), adversary)


def prepare_losses(session: Session) -> None:
    """Prepare the losses on rank 0 first, whose measurements the other ranks take over.

    Raises:
        RestoreError: a loss cannot load what it needs.
    """
    objective, group, samples = session.objective, session.group, session.setup.samples
    group.on_rank_zero(lambda: prepare(objective, samples))
    objective.load_state_dict(group.broadcast(objective.state_dict()))
    group.on_all_ranks(lambda: prepare(objective, samples))


def to_checkpoint(session: Session) -> Checkpoint:
    """Everything from which the run can be resumed."""
    tensors: dict[str, Mapping[str, Tensor]] = {
        name: module.state_dict() for name, module in session.modules.items()
    }
    groups: dict[str, Any] = {}
    for name, learner in session.learners.items():
        tensors[f"optimizer-{name}"], groups[name] = _flatten(learner.optimizer)
    state = {
        "images": session.setup.fingerprint,
        "optimizers": groups,
        "learners": {name: learner.state() for name, learner in session.learners.items()},
        "adversary": session.adversary.state(),
        "metrics": session.metrics,
    }
    return Checkpoint(session.step, tensors, state)


def from_checkpoint(session: Session, checkpoint: Checkpoint) -> None:
    """Put `session` into the state of `checkpoint`.

    Raises:
        TrainingError: the images or the networks are not those of the checkpoint.
    """
    state = checkpoint.state
    try:
        for name, module in session.modules.items():
            module.load_state_dict(dict(checkpoint.tensors[name]))
        for name, learner in session.learners.items():
            tensors, groups = checkpoint.tensors[f"optimizer-{name}"], state["optimizers"][name]
            learner.optimizer.load_state_dict(_unflatten(tensors, groups))
            learner.restore(state["learners"][name])
        # Checkpoints of version 0.1 have the second of each pair of names.
        session.adversary.restore(_either(state, "adversary", "opponent"))
        session.metrics = _either(state, "metrics", "figures")
    except (KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"the checkpoint of step {checkpoint.step} does not fit the networks that the plugins build now",
            hint="resume with the versions that wrote it, or start a new run",
        ) from error
    session.step = checkpoint.step


def _learner(network: nn.Module, setup: TrainingSetup, group: ProcessGroup, peak: float) -> Learner:
    """`network` on its device, compiled on request, with its optimizer."""
    config, device = setup.config, group.fabric.device
    kind = {"adam": torch.optim.Adam, "soap": Soap}[config.optimizer]
    optimizer = kind(network.parameters(), lr=peak, betas=config.betas)
    # Fabric compiles what it wraps, and keeps the names that the network has without it.
    module, wrapped = group.fabric.setup(compiled(network) if config.compile else network, optimizer)
    scaled = choose_precision(config.precision, device) == torch.float16
    return Learner(
        module, wrapped, group, peak=peak, parts=config.accumulate, clip=config.clip, scaled=scaled
    )


def _either(state: Mapping[str, Any], name: str, former: str) -> Any:
    return state[name if name in state else former]


def _flatten(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """The state of an optimizer as named tensors, and its parameter groups as JSON can store them."""
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
