"""The only training loop: generator step, gated discriminator step, log, validate, save."""

from restore.training.loop import Monitor, Outcome, train

__all__ = ["Monitor", "Outcome", "train"]
