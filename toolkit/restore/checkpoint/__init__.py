"""Files that hold networks: weights that ship, and checkpoints from which a run goes on.

Both are safetensors and JSON, never pickles.
"""

from restore.checkpoint.blending import blend
from restore.checkpoint.loading import LoadedModel, check_reference, load_model, working_scale
from restore.checkpoint.run import Checkpoint, latest_checkpoint, save_checkpoint
from restore.checkpoint.tensors import build_within, channels_last, sha256
from restore.checkpoint.weights import WeightsCard, read_card, save_weights

__all__ = [
    "Checkpoint",
    "LoadedModel",
    "WeightsCard",
    "blend",
    "build_within",
    "channels_last",
    "check_reference",
    "latest_checkpoint",
    "load_model",
    "read_card",
    "save_checkpoint",
    "save_weights",
    "sha256",
    "working_scale",
]
