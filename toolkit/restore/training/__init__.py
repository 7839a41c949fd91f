"""The only training loop: generator step, gated discriminator step, log, validate, save."""

from restore.training.log import Monitor
from restore.training.loop import Outcome, train
from restore.training.processes import is_helper

__all__ = ["Monitor", "Outcome", "is_helper", "train"]
