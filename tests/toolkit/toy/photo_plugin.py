"""A plugin with small weights for the models that ``auto`` chooses from, which change images visibly.

It stands for the plugins denoising and enhancenet, which have to be disabled.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import restore_denoising.plugin
import restore_enhancenet.plugin
from restore.checkpoint import WeightsCard, save_weights, sha256
from restore.hookspecs import hookimpl
from restore.interfaces import ModelSpec, Task, Weights

CONTRACT = 2

JPEG, NOISE, PHOTO, BLURRED = 0.1, 0.2, 0.3, 0.4
"""What each network adds to an image."""


def _weights(folder: Path, spec: ModelSpec, name: str, scale: int, added: float, **options: Any) -> Weights:
    module = spec.build(scale, spec.options.model_validate(options))
    last = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)][-1]
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        assert last.bias is not None
        last.bias.fill_(added)
    file = folder / f"{name}.safetensors"
    save_weights(file, module, WeightsCard(model=spec.name, scale=scale, options=options))
    task: Task = "enlarge" if scale > 1 else "deblock" if name == "jpeg" else "denoise"
    return Weights(
        name,
        scale,
        file,
        sha256(file),
        "none",
        "not at all",
        lowest_quality=5,
        highest_noise=75,
        task=task,
    )


@hookimpl
def restore_models() -> list[ModelSpec]:
    folder = Path(__file__).parent
    ffdnet, dncnn = restore_denoising.plugin.restore_models()
    (enhancenet,) = restore_enhancenet.plugin.restore_models()
    small = {"width": 8, "layers": 4}
    noise = replace(_weights(folder, ffdnet, "noise", 1, NOISE, **small), lowest_quality=100)
    jpeg = _weights(folder, ffdnet, "jpeg", 1, JPEG, strength="quality", **small)
    others = [weights for weights in enhancenet.weights if weights.name not in ("photo", "blurred")]
    photo = _weights(folder, enhancenet, "photo", 4, PHOTO, width=8, blocks=1)
    blurred = _weights(folder, enhancenet, "blurred", 4, BLURRED, width=8, blocks=1)
    return [
        replace(ffdnet, weights=(noise, replace(jpeg, highest_noise=0))),
        dncnn,
        replace(enhancenet, weights=(*others, photo, replace(blurred, highest_blur=1.5))),
    ]
