"""The configuration of a training run: typed fields, and where their values come from."""

from restore.config.resolution import assignments, read_toml, resolve, resolve_again, write_toml
from restore.config.training import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Source,
    TrainingConfig,
    TrainingPrecision,
)

__all__ = [
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "Source",
    "TrainingConfig",
    "TrainingPrecision",
    "assignments",
    "read_toml",
    "resolve",
    "resolve_again",
    "write_toml",
]
