"""The tensor contract, and the entries by which a plugin describes what it brings.

The tensor contract, everywhere in the toolkit:

    Float RGB in [0, 1], shape ``(B, 3, H, W)``, on any device. A model maps ``(B, 3, H, W)`` to
    ``(B, 3, scale*H, scale*W)`` of the same dtype for **any** H, W >= 1, and does not clamp. Scale 1
    is a restoration without resizing.

An entry is a frozen dataclass that describes; what it builds is a plain ``nn.Module`` or a plain
function. Nothing here imports torch, so that a plugin can be listed without it: `lazy` names a function
that does.
"""

from restore.interfaces.adversarial import (
    AdversarialLoss,
    AdversarialLossSpec,
    DiscriminatorSpec,
    GradientPenalty,
    Logits,
)
from restore.interfaces.augmentation import Augment, AugmentationOptions, AugmentationSpec, Pair
from restore.interfaces.degradations import UNDEGRADED, DegradationSpec, Degrade, Degraded, Parameters
from restore.interfaces.entry import Extra
from restore.interfaces.losses import (
    Checkable,
    FeatureLoss,
    FeatureNetwork,
    GeneratorFeatures,
    LossInput,
    LossSpec,
    Noted,
    Preparable,
    check_preparation,
    notes_of,
    prepare,
)
from restore.interfaces.measures import (
    Method,
    Metric,
    MetricSpec,
    PublishedTable,
    SetMetric,
    SetMetricSpec,
)
from restore.interfaces.models import ModelSpec, OpenedModel, Task, Weights
from restore.interfaces.objectives import Adversary, AlwaysOpen, Gate, ObjectiveSpec, Scores, Term
from restore.interfaces.optimization import AveragesWeights, OptimizerSpec, Schedule, ScheduleSpec
from restore.interfaces.options import Options, lazy, parse

__all__ = [
    "UNDEGRADED",
    "AdversarialLoss",
    "AdversarialLossSpec",
    "Adversary",
    "AlwaysOpen",
    "Augment",
    "AugmentationOptions",
    "AugmentationSpec",
    "AveragesWeights",
    "Checkable",
    "DegradationSpec",
    "Degrade",
    "Degraded",
    "DiscriminatorSpec",
    "Extra",
    "FeatureLoss",
    "FeatureNetwork",
    "Gate",
    "GeneratorFeatures",
    "GradientPenalty",
    "Logits",
    "LossInput",
    "LossSpec",
    "Method",
    "Metric",
    "MetricSpec",
    "ModelSpec",
    "Noted",
    "ObjectiveSpec",
    "OpenedModel",
    "OptimizerSpec",
    "Options",
    "Pair",
    "Parameters",
    "Preparable",
    "PublishedTable",
    "Schedule",
    "ScheduleSpec",
    "Scores",
    "SetMetric",
    "SetMetricSpec",
    "Task",
    "Term",
    "Weights",
    "check_preparation",
    "lazy",
    "notes_of",
    "parse",
    "prepare",
]
