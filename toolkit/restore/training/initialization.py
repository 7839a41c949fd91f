"""Initial weights of the generator: random, or from its own or another model's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from restore.checkpoint import LoadedModel, build_within, load_model
from restore.config import TrainingConfig
from restore.errors import UsageError, escaped
from restore.interfaces import ModelSpec, Options, parse
from restore.registry import ModelReference, Registry
from restore.training.memory import BYTES_PER_PARAMETER, machine_memory
from restore.training.optimization import seed_all

__all__ = ["Start", "find_model", "find_start"]

_LISTED = 20  # maximum number of names in a message


@dataclass(frozen=True)
class Start:
    """The model and weights that a run starts from."""

    options: Options
    initial: LoadedModel | None = None
    """The network with its first weights; ``None`` for a fresh one."""
    note: str = ""
    """What was taken over, if it is only a part."""

    def trained(self, spec: ModelSpec, scale: int, module: nn.Module) -> LoadedModel:
        """The network of the run, with the weights that it has now."""
        if spec.open is not None and self.initial is not None:
            return replace(self.initial, module=module.eval())
        return LoadedModel.built("average", spec, scale, self.options, module)


def find_model(config: TrainingConfig, registry: Registry) -> ModelSpec:
    """The entry of `config.model`.

    Raises:
        UnknownNameError: there is no such model.
        UsageError: weights are named for a model that can be built without, or none for one that cannot.
    """
    reference = ModelReference.parse(config.model)
    spec = registry.models[reference.name]
    if reference.weights and spec.open is None:
        raise UsageError(
            f"`model={config.model}` names weights",
            hint=f"to start from them, use `model={reference.name}` `init={config.model}`",
        )
    if spec.open is not None and not reference.weights:
        raise UsageError(
            f"model '{spec.name}' is built from a file",
            hint=f"use `model={spec.name}:FILE`, or another model",
        )
    return spec


def find_start(config: TrainingConfig, spec: ModelSpec, registry: Registry, *, resume: bool) -> Start:
    """Load what the run starts from.

    Args:
        config: of the run.
        spec: what `find_model` found.
        registry: all entries.
        resume: the weights come from a checkpoint, so those that `init` names are not read. The file of a
            model that is built from one is, for its architecture.

    Raises:
        UsageError: the weights are for another model, scale or options, or the network cannot be trained.
        WeightsError: they cannot be loaded.
    """
    if config.init_partial and config.init is None:
        raise UsageError(
            "`init_partial` takes over a part of the weights of `init`, which is not given", hint="set `init`"
        )
    own = _of_file(config, registry) if spec.open is not None else None
    if resume or config.init is None:
        return Start(own.options, own) if own else Start(_options(spec, config))
    same = ModelReference.parse(config.init).name == spec.name
    if same and own is None and not config.init_partial:
        initial = _same_model(config.init, spec, config, registry)
        return Start(initial.options, initial)
    source = load_model(config.init, registry, _scale_of_weights(config.init, config, registry))
    target = own or _fresh(spec, config)
    note = _take_over(source.module.state_dict(), target.module, config)
    return Start(target.options, target, note)


def _options(spec: ModelSpec, config: TrainingConfig, known: Options | None = None) -> Options:
    """The options of the model: the requested ones, the others those of `known` weights or the defaults."""
    base = known.model_dump() if known else {}
    return parse(spec.options, {**base, **config.model_options}, f"model '{spec.name}'")


def _scale_of_weights(reference: str, config: TrainingConfig, registry: Registry) -> int | None:
    """The scale of the run where there are such weights; `None` leaves the choice to the model."""
    parsed = ModelReference.parse(reference)
    if parsed.chain:
        return None
    spec = registry.models[parsed.name]
    return config.scale if config.scale in spec.weights_scales(parsed.weights) else None


def _of_file(config: TrainingConfig, registry: Registry) -> LoadedModel:
    loaded = load_model(config.model, registry, config.scale, config.model_options)
    if not loaded.trainable:
        raise UsageError(
            f"a network of the architecture {loaded.architecture} cannot be trained",
            path=loaded.weights,
            hint="choose another `model`",
        )
    return loaded


def _same_model(reference: str, spec: ModelSpec, config: TrainingConfig, registry: Registry) -> LoadedModel:
    initial = load_model(reference, registry, config.scale)
    wanted = _options(spec, config, initial.options)
    if wanted != initial.options:
        raise UsageError(
            f"`init={reference}` has the options ({initial.options}), not ({wanted})",
            hint="omit `model_options`, or take over what fits with `init_partial`",
        )
    return initial


def _fresh(spec: ModelSpec, config: TrainingConfig) -> LoadedModel:
    options = _options(spec, config)

    def build() -> nn.Module:
        return spec.build(config.scale, options)

    limit = machine_memory() // BYTES_PER_PARAMETER
    build_within(build, limit, f"model '{spec.name}' with these options")
    seed_all(config.seed)
    return LoadedModel.built(spec.name, spec, config.scale, options, build())


def _take_over(source: Mapping[str, Tensor], target: nn.Module, config: TrainingConfig) -> str:
    """Load the tensors of `source` whose names and shapes are those of `target`.

    Returns:
        A description of what was loaded; empty if everything was.

    Raises:
        UsageError: nothing fits, or not everything and `init_partial` is not set.
    """
    own = target.state_dict()
    fitting = {
        name: tensor for name, tensor in source.items() if name in own and own[name].shape == tensor.shape
    }
    new = [name for name in own if name not in fitting]
    unused = [name for name in source if name not in fitting]
    if not fitting or ((new or unused) and not config.init_partial):
        odd = (new or unused)[0]
        shapes = [tuple(state[odd].shape) if odd in state else "none" for state in (own, source)]
        raise UsageError(
            f"`init={config.init}` does not fit the model '{config.model}': {len(fitting)} of {len(own)} "
            f"tensors have the same name and shape; '{escaped(odd)}' has the shape {shapes[0]} in the model "
            f"and {shapes[1]} in the weights",
            hint="take over those that fit with `init_partial`" if fitting else "choose other weights",
        )
    target.load_state_dict({**own, **fitting})
    if not (new or unused):
        return ""
    parts = [f"{len(fitting)} of {len(own)} tensors of {config.init} fit: {_listed(list(fitting))}"]
    parts += [f"new: {_listed(new)}"] if new else []
    parts += [f"not used: {_listed(unused)}"] if unused else []
    return "; ".join(parts)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(escaped, names[:_LISTED])) + more
