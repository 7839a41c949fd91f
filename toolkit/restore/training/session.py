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
from restore.training.adversarial import AdversarialTrainer
from restore.training.best import BestWeights
from restore.training.compiler import compiled
from restore.training.learner import Learner
from restore.training.networks import Networks, discriminator_inputs
from restore.training.objective import Objective
from restore.training.optimization import averaged, freeze_unused, parameter_groups
from restore.training.processes import ProcessGroup
from restore.training.setup import TrainingSetup

__all__ = ["Session", "begin", "from_checkpoint", "prepare_losses", "to_checkpoint"]

_BEST = "best-"  # with the name of a metric: its best weights in a checkpoint


@dataclass
class Session:
    """The networks of a run and their state."""

    setup: TrainingSetup
    group: ProcessGroup
    learner: Learner
    """The generator with its optimizer."""
    average: AveragedModel
    objective: Objective
    network: nn.Module
    """The generator without the wrappers of Fabric."""
    adversaries: list[AdversarialTrainer] = field(default_factory=list)
    losses: Learner | None = None
    """The losses that have parameters of their own, with their optimizer."""
    step: int = 0
    """Steps done."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Results of the validation after the last step; empty if there was none."""
    validated: int = 0
    """Step of the last validation that did not fail."""
    best: BestWeights = field(default_factory=lambda: BestWeights({}))
    """On rank 0, the best weights so far; the other ranks do not validate."""

    @property
    def generator(self) -> nn.Module:
        """The generator, as Fabric wrapped it."""
        return self.learner.module

    @property
    def terms(self) -> nn.Module:
        """The objective, as Fabric wrapped it if it has parameters of its own."""
        return self.objective if self.losses is None else self.losses.module

    @property
    def learners(self) -> dict[str, Learner]:
        """All networks with an optimizer, by name."""
        learners = {"generator": self.learner}
        if self.losses is not None:
            learners["objective"] = self.losses
        return learners | {each.name: each.learner for each in self.adversaries}

    @property
    def skipped(self) -> int:
        """Updates that were skipped because something was not finite."""
        return sum(learner.skipped for learner in self.learners.values())

    @property
    def problem(self) -> str:
        """The values and the network that were not finite in the last step; empty if all were finite."""
        found = [
            f"{learner.problem} of the {name}" for name, learner in self.learners.items() if learner.problem
        ]
        return found[0] if found else ""

    @property
    def modules(self) -> dict[str, nn.Module]:
        """All modules that a checkpoint saves, by name."""
        learned = {name: learner.module for name, learner in self.learners.items()}
        return learned | {"average": self.average.module, "objective": self.objective}


def begin(setup: TrainingSetup, networks: Networks, group: ProcessGroup) -> Session:
    """Create a session before its first step, with its networks on the device."""
    config, device = setup.config, group.fabric.device
    generator = channels_last(networks.generator)
    average = averaged(generator, config.ema).to(device)
    sample = setup.images.samples[0]
    inputs = (sample.degraded[None], *sample.conditions[None].unbind(1))
    learner = _learner(generator, setup, group, config.lr, rates=config.rates, inputs=inputs)
    objective = networks.objective.to(device)
    session = Session(setup, group, learner, average, objective, generator)
    session.best = BestWeights(
        setup.validation.watched, keeps_weights=bool(config.keep), patience=config.patience
    )
    if objective.is_trained:
        session.losses = _learner(objective, setup, group, config.lr)
    for number, (adversary, network) in enumerate(
        zip(setup.objective.adversaries, networks.discriminators, strict=True)
    ):
        discriminator, conditional = channels_last(network), setup.conditional[number]
        peak, seen = (
            config.lr_discriminator or config.lr,
            discriminator_inputs(sample, conditional=conditional),
        )
        trained = _learner(discriminator, setup, group, peak, inputs=seen)
        session.adversaries.append(
            AdversarialTrainer(
                adversary,
                setup.adversarial_losses[number],
                trained,
                discriminator,
                conditional=conditional,
                seed=config.seed,
            )
        )
    return session


def prepare_losses(session: Session) -> None:
    """Prepare the losses on rank 0 first, and copy its measurements to the other ranks.

    Raises:
        RestoreError: a loss cannot load what it needs.
    """
    objective, group, targets = session.objective, session.group, session.setup.targets
    group.on_rank_zero(lambda: prepare(objective, targets))
    objective.load_state_dict(group.broadcast(objective.state_dict()))
    group.on_all_ranks(lambda: prepare(objective, targets))


def to_checkpoint(session: Session) -> Checkpoint:
    """Return a checkpoint from which the run can be resumed."""
    tensors: dict[str, Mapping[str, Tensor]] = {
        name: module.state_dict() for name, module in session.modules.items()
    }
    tensors |= {f"{_BEST}{metric}": weights for metric, weights in session.best.weights.items()}
    groups: dict[str, Any] = {}
    for name, learner in session.learners.items():
        tensors[f"optimizer-{name}"], groups[name] = _flatten(learner.optimizer)
    state = {
        "images": session.setup.images.fingerprint,
        "validation_images": session.setup.validation.fingerprint,
        "optimizers": groups,
        "learners": {name: learner.state() for name, learner in session.learners.items()},
        "adversaries": {each.adversary.label: each.state() for each in session.adversaries},
        "metrics": session.metrics,
        "validated": session.validated,
        "best": session.best.state(),
    }
    return Checkpoint(session.step, tensors, state)


def from_checkpoint(session: Session, checkpoint: Checkpoint) -> None:
    """Restore the state of `session` from `checkpoint`.

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
            _lay_out(learner.optimizer)
            learner.restore(state["learners"][name])
        for each in session.adversaries:
            each.restore(_adversary_state(state, each.adversary.label))
        session.metrics = _either(state, "metrics", "figures")
        session.validated = state.get("validated", checkpoint.step)
        kept = {name.removeprefix(_BEST): tensors for name, tensors in checkpoint.tensors.items()}
        session.best.restore(state.get("best", {}), kept)
    except (KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"the checkpoint of step {checkpoint.step} does not fit the networks that the plugins build now",
            hint="resume with the versions that wrote it, or start a new run",
        ) from error
    session.step = checkpoint.step


def _learner(
    network: nn.Module,
    setup: TrainingSetup,
    group: ProcessGroup,
    peak: float,
    *,
    rates: Mapping[str, float] | None = None,
    inputs: tuple[Tensor, ...] | None = None,
) -> Learner:
    """`network` on its device, compiled on request, with its optimizer; `inputs` may be a batch of one."""
    config, device = setup.config, group.fabric.device
    optimizer = setup.make_optimizer(parameter_groups(network, peak, rates))
    if group.size > 1 and inputs is not None:
        # After the optimizer is made, whose state is then the same for any number of processes.
        freeze_unused(network, *inputs)
    # Fabric compiles what it wraps, and keeps the names that the network has without it.
    module, wrapped = group.fabric.setup(compiled(network) if config.compile else network, optimizer)
    scaled = choose_precision(config.precision, device) == torch.float16
    return Learner(
        module, wrapped, group, peak=peak, parts=config.accumulate, clip=config.clip, scaled=scaled
    )


def _adversary_state(state: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    """Version 0.1 had at most one adversary, under another name."""
    found: Mapping[str, Any] = state["adversaries"][label] if "adversaries" in state else state["opponent"]
    return found


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


def _lay_out(optimizer: torch.optim.Optimizer) -> None:
    """Copy loaded tensors into their own memory, in the memory format of the parameters.

    A file is mapped into memory at any address, and matrix products round differently where a matrix is not
    aligned. Tensors in another order than ``channels_last`` would make each update slower.
    """
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                shaped = parameter if value.shape == parameter.shape else value
                copied = torch.empty_like(shaped, dtype=value.dtype, device=value.device)
                values[name] = copied.copy_(value)


def _unflatten(tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": groups}
