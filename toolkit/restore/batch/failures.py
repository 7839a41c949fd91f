"""Turn any exception for one image into a failed outcome, and free its memory."""

from __future__ import annotations

import copy
import gc
import traceback
from pathlib import Path

import torch

from restore.batch.jobs import AnyJob, Outcome
from restore.batch.urls import Url
from restore.errors import ImageError, RestoreError, in_one_line
from restore.images.failures import is_out_of_memory

__all__ = ["failed"]


def failed(job: AnyJob, error: BaseException) -> Outcome:
    """The outcome of a job for which `error` was raised, which may have ended other jobs too.

    Its traceback becomes text, a note of the outcome's error: the frames themselves hold the image, and the
    next one needs the memory.
    """
    reason = _explained(error, job.source)
    reason.add_note("".join(traceback.format_exception(error)).rstrip())
    out_of_memory = _is_memory(error)
    _drop_frames(error)
    if out_of_memory:
        gc.collect()
        torch.cuda.empty_cache()  # nothing where CUDA was not used
    return Outcome(job.source, "failed", job.destination, error=reason)


def _explained(error: BaseException, source: Path | Url) -> RestoreError:
    """`error` as one that names a file and says what to do."""
    if isinstance(error, RestoreError):
        own = copy.copy(error)
        own.__notes__ = list(getattr(error, "__notes__", ()))  # a copy has the same list
        if own.path is None and str(source) not in own.problem:
            own.path = source
        return own
    if _is_memory(error):
        problem, hint = (
            "there is not enough memory for it",
            "close other programs, or reduce `tile` or `scale`",
        )
    elif isinstance(error, OSError):
        problem, hint = error.strerror or in_one_line(error), "free some space or choose another folder"
    else:
        problem = f"unexpected {type(error).__name__}: {in_one_line(error) or 'no message'}"
        hint = "leave the image out, and report it with its traceback"
    return ImageError(problem, path=source, hint=hint)


def _is_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, in `error` or in what led to it."""
    while error is not None:
        if is_out_of_memory(error):
            return True
        error = error.__cause__
    return False


def _drop_frames(error: BaseException | None) -> None:
    """Forget the tracebacks of an error and of those that led to it."""
    while error is not None:
        earlier = error.__cause__ or error.__context__
        error.__traceback__ = error.__cause__ = error.__context__ = None
        error = earlier
