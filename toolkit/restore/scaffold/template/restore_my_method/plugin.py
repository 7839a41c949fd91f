"""Entry point of the plugin: says what it brings. Nothing here imports torch; `lazy` does when it must."""

from __future__ import annotations

from restore.hookspecs import hookimpl
from restore.interfaces import Adversary, DiscriminatorSpec, LossSpec, ModelSpec, ObjectiveSpec, Term, lazy
from restore_my_method.options import DiscriminatorOptions, LossOptions, NetworkOptions

CONTRACT = 1  # the version of restore's contract that this plugin was written for


@hookimpl
def restore_models() -> list[ModelSpec]:
    """The network. What is trained ships with `weights=(Weights(...),)`."""
    return [
        ModelSpec(
            "my-method",
            "Residual blocks at the input's size, then the pixels are shuffled into place",
            build=lazy("restore_my_method.network:build"),
            halo=lazy("restore_my_method.network:halo"),
            options=NetworkOptions,
        )
    ]


@hookimpl
def restore_losses() -> list[LossSpec]:
    """A loss that any objective can name, this plugin's or another's."""
    return [
        LossSpec(
            "my-method-loss",
            "Charbonnier distance: absolute error with a round tip",
            build=lazy("restore_my_method.loss:build"),
            options=LossOptions,
        )
    ]


@hookimpl
def restore_discriminators() -> list[DiscriminatorSpec]:
    """A discriminator that any objective can name."""
    return [
        DiscriminatorSpec(
            "my-method",
            "Three convolutions of stride 2, one logit for each position",
            build=lazy("restore_my_method.discriminator:build"),
            options=DiscriminatorOptions,
        )
    ]


@hookimpl
def restore_objectives() -> list[ObjectiveSpec]:
    """A recipe for `--loss`: terms with their weights, and an adversary."""
    return [
        ObjectiveSpec(
            "my-method",
            "The loss, and a hundredth of the adversary",
            terms=(Term("my-method-loss"),),
            adversary=Adversary("my-method", weight=0.01),
            patch_size=64,  # target pixels
        )
    ]
