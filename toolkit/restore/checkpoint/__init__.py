"""Files with networks: weights, and checkpoints from which a run resumes.

Both are safetensors and JSON, never pickles.
"""

from restore.checkpoint.blending import blend
from restore.checkpoint.chaining import Chain
from restore.checkpoint.identification import SUFFIXES, WeightsInfo, inspect_weights
from restore.checkpoint.loaded import LoadedModel
from restore.checkpoint.loading import check_reference, load_model
from restore.checkpoint.run import Checkpoint, latest_checkpoint, save_checkpoint
from restore.checkpoint.scales import default_scale, working_scale
from restore.checkpoint.tensors import build_within, channels_last
from restore.checkpoint.weights import WeightsCard, read_card, save_weights
from restore.files import sha256

__all__ = [
    "SUFFIXES",
    "Chain",
    "Checkpoint",
    "LoadedModel",
    "WeightsCard",
    "WeightsInfo",
    "blend",
    "build_within",
    "channels_last",
    "check_reference",
    "default_scale",
    "inspect_weights",
    "latest_checkpoint",
    "load_model",
    "read_card",
    "save_checkpoint",
    "save_weights",
    "sha256",
    "working_scale",
]
