"""Weights between those of several networks: the mean of runs, or a step from one objective to another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from restore.checkpoint.loaded import LoadedModel
from restore.checkpoint.tensors import save_tensors
from restore.checkpoint.weights import WeightsCard, as_metadata, read_card
from restore.errors import UsageError, WeightsError

__all__ = ["blend"]


def blend(
    models: Sequence[LoadedModel], file: Path, *, shares: Sequence[float] = (), half: bool = False
) -> WeightsCard:
    """Write the weighted mean of the parameters and buffers of `models`.

    It is a good network only where the models come from common weights: runs that began in one place
    (Wortsman et al., "Model soups", ICML 2022), or an adversarial one and the PSNR-oriented one it began from
    (Wang et al., "ESRGAN", 2018, section 3.4).

    Args:
        models: one or more of the same model, scale and options, with weights of files of this program.
        file: to write, named ``.safetensors``.
        shares: of each model, finite and of a sum other than 0; they are divided by it. Left out: equal ones.
            A negative one goes beyond the others.
        half: write float16, half the size, in place of float32.

    Returns:
        What the file says about itself.

    Raises:
        UsageError: the models differ, one has no such file, `shares` are not as above, or `file` has another
            suffix.
        WeightsError: a value of the mean is not finite in the file's precision.
        OSError: the disk is full or the folder cannot be written.
    """
    if file.suffix != ".safetensors":
        raise UsageError(f"cannot write '{file}': weights are named '{file.stem}.safetensors'")
    parts = _parts(models, shares)
    states = [model.module.state_dict() for model in models]
    tensors = {name: _mean([state[name] for state in states], parts) for name in states[0]}
    if half:
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    broken = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise WeightsError(
            f"'{broken}' has values too large for {tensors[broken].dtype}",
            hint="omit `half`" if half else "give shares nearer to 0",
        )
    card = _card(models, parts)
    save_tensors(file, tensors, as_metadata(card))
    return card


def _parts(models: Sequence[LoadedModel], shares: Sequence[float]) -> list[float]:
    """Shares whose sum is 1, after `models` were found to fit each other."""
    first = models[0]
    for model in models:
        if model.spec.open is not None or model.parts or not model.weights:
            raise UsageError(
                f"'{model.reference}' has no weights that 'restore train' wrote", hint="name a model that has"
            )
        if (model.spec.name, model.scale, model.options) != (first.spec.name, first.scale, first.options):
            raise UsageError(
                f"'{model.reference}' and '{first.reference}' are not the same network: model, scale and "
                f"options must agree"
            )
    shares = shares or [1.0] * len(models)
    if len(shares) != len(models):
        raise UsageError(f"{len(shares)} shares for {len(models)} models: give one for each")
    total = math.fsum(shares)
    if not math.isfinite(total) or total == 0:
        raise UsageError(
            f"the shares have the sum {total}, which cannot be normalized: give shares with another sum"
        )
    return [share / total for share in shares]


def _mean(tensors: Sequence[Tensor], parts: Sequence[float]) -> Tensor:
    """In float64, rounded once; of what is no float, such as counts, the first."""
    if not tensors[0].is_floating_point():
        return tensors[0]
    mean = sum((part * tensor.double() for part, tensor in zip(parts, tensors, strict=True)), torch.zeros(()))
    return mean.to(tensors[0].dtype)


def _card(models: Sequence[LoadedModel], parts: Sequence[float]) -> WeightsCard:
    cards = [read_card(Path(model.weights)) for model in models]
    return cards[0].model_copy(
        update={
            "objective": "+".join(dict.fromkeys(card.objective for card in cards)),
            "steps": max(card.steps for card in cards),
            "data": "+".join(dict.fromkeys(card.data for card in cards)),
            "notes": tuple(dict.fromkeys(note for card in cards for note in card.notes)),
            "metrics": {},  # nobody has measured this one
            "blend": _summed(models, parts),
        }
    )


def _summed(models: Sequence[LoadedModel], parts: Sequence[float]) -> Mapping[str, float]:
    result: dict[str, float] = {}
    for model, part in zip(models, parts, strict=True):
        result[model.digest] = result.get(model.digest, 0.0) + part
    return result
