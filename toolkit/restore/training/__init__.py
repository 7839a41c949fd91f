"""The only training loop: generator step, gated discriminator step, log, validate, save."""

from restore.training.log import Monitor
from restore.training.loop import Outcome, train
from restore.training.world import is_helper, said_once

__all__ = ["Monitor", "Outcome", "is_helper", "said_once", "train"]
