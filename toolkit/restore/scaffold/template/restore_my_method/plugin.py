"""The entries of the plugin. This module must not import torch: `lazy` imports code when it is used."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import Adversary, DiscriminatorSpec, LossSpec, ModelSpec, ObjectiveSpec, Term, lazy
from restore_my_method.options import DiscriminatorOptions, LossOptions, NetworkOptions

CONTRACT = 2  # the version of the plugin contract


@hookimpl
def restore_models() -> list[ModelSpec]:
    """Return the model. To include trained weights, add `weights=(Weights(...),)`."""
    return [
        ModelSpec(
            "my-method",
            "Residual blocks at the resolution of the input, then a pixel shuffle",
            build=lazy("restore_my_method.network:build"),
            halo=lazy("restore_my_method.network:halo"),
            options=NetworkOptions,
            # overlap=, stride=, conditions=: see the end of network.py
        )
    ]


@hookimpl
def restore_losses() -> list[LossSpec]:
    """Return a loss that any objective of any plugin can use."""
    return [
        LossSpec(
            "my-method-loss",
            "Charbonnier loss: a smooth absolute error",
            build=lazy("restore_my_method.loss:build"),
            options=LossOptions,
        )
    ]


@hookimpl
def restore_discriminators() -> list[DiscriminatorSpec]:
    """Return a discriminator that any objective of any plugin can use."""
    return [
        DiscriminatorSpec(
            "my-method",
            "PatchGAN: three convolutions of stride 2, one logit per patch",
            build=lazy("restore_my_method.discriminator:build"),
            options=DiscriminatorOptions,
        )
    ]


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    """Return an objective for `--loss`: loss terms with weights, and an adversarial loss."""
    return [
        ObjectiveSpec(
            "my-method",
            "my-method-loss, and an adversarial loss with weight 0.01",
            terms=(Term("my-method-loss"),),
            adversaries=(Adversary("my-method", weight=0.01),),
            patch_size=64,  # target pixels
        )
    ]
