"""Training: a generator step, a gated discriminator step, then log, validate, save.

It needs the extra ``train``; the rest of the toolkit does not import this package.
"""

from importlib.util import find_spec

from restore.errors import UsageError

_MISSING = [name for name in ("lightning_fabric", "tensorboard") if find_spec(name) is None]
if _MISSING:
    raise UsageError(
        f"training needs {' and '.join(_MISSING)}, which this installation lacks",
        hint="run: pip install 'restorekit[train]'",
    )

from restore.training.launch import is_other_rank, reported_once  # noqa: E402 - after the check above
from restore.training.log import Monitor  # noqa: E402
from restore.training.loop import train  # noqa: E402
from restore.training.recipe import shortcuts  # noqa: E402
from restore.training.result import TrainingResult  # noqa: E402

__all__ = ["Monitor", "TrainingResult", "is_other_rank", "reported_once", "shortcuts", "train"]
