"""The folder of a run: created, locked, saved into, and put back into the state of a checkpoint."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from restore.checkpoint import Checkpoint, WeightsCard, save_checkpoint, save_weights
from restore.config import CONFIG_FILE, WEIGHTS_FILE, resolve, write_toml
from restore.data import matches
from restore.errors import TrainingError, UsageError
from restore.files import PREFIX, atomic_folder, remove_link
from restore.interfaces import notes_of
from restore.training.events import forget_events
from restore.training.log import LOG_FILE, Monitor, forget_after
from restore.training.session import Session, to_checkpoint
from restore.training.setup import TrainingSetup
from restore.training.validation import forget_samples
from restore.versions import versions

__all__ = [
    "CHECKPOINTS",
    "WEIGHTS_FILE",
    "best_file",
    "check_free",
    "check_same_images",
    "create",
    "locked",
    "rewind",
    "save",
]

CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints, in the folder of a run."""


def best_file(run: Path, metric: str) -> Path:
    """The file of the averaged generator with the best value of a metric."""
    return run / f"{Path(WEIGHTS_FILE).stem}-best-{metric}.safetensors"


def check_free(run: Path) -> None:
    """Check that a new run can be written into `run`.

    Raises:
        UsageError: it is a file, or a folder with content.
    """
    # The lock is inside where only that can be written; other unfinished files may be of another command.
    if run.is_dir() and any(entry.name != _lock_name(run) for entry in run.iterdir()):
        raise UsageError("the folder is not empty", path=run, hint="pass `resume=True` or another `run`")
    if run.exists() and not run.is_dir():
        raise UsageError("this is a file, not a folder", path=run, hint="choose another `run`")


def check_same_images(setup: TrainingSetup, checkpoint: Checkpoint) -> None:
    """Check that the run was trained and its best weights found on the same images, wherever they are now.

    Raises:
        TrainingError: it was not.
    """
    # Checkpoints of version 0.1 have a fingerprint of names and sizes under "data".
    known = checkpoint.state.get("images") or checkpoint.state.get("data")
    if known and not matches(known, setup.images.samples.files, setup.images.fingerprint):
        raise TrainingError(
            "the training images are not those with which the run started",
            hint="restore them, or start a new run with `init`",
        )
    measured = checkpoint.state.get("validation_images")
    if measured and setup.validation.fingerprint not in ("", measured):
        raise TrainingError(
            "the validation images are not those by which the best weights were found",
            hint="restore them, or start a new run with `init`",
        )


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the lock of a run, so that no second process trains in its folder, and remove leftovers of kills.

    The operating system releases the lock when the process ends, however it ends.

    Raises:
        UsageError: another process holds the lock.
        TrainingError: the lock file cannot be written.
    """
    run = Path(os.path.realpath(run))
    # Next to the run, because a new run is made under another name; inside where only that can be written.
    folder = run if run.is_dir() and not os.access(run.parent, os.W_OK) else run.parent
    file = folder / _lock_name(run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_link(file)
        lock = FileLock(file, thread_local=False)
        lock.acquire(blocking=False)
    except Timeout:
        raise UsageError(
            f"{_owner(file)} is training in this folder",
            path=run,
            hint="wait for it, or choose another `run`",
        ) from None
    except OSError as error:
        raise _unwritable(run, error) from error
    try:
        with suppress(OSError):  # only the message that another process gets depends on it
            file.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        _sweep(run, keep=file)
        yield
    finally:
        # Removed while the lock is held: the library checks that the name still belongs to the locked file.
        with suppress(OSError):
            file.unlink(missing_ok=True)
        lock.release()


def create(session: Session, run: Path) -> None:
    """Create the folder of a run with its configuration and a first checkpoint, so that it can be resumed.

    Raises:
        UsageError: the folder has content already.
        TrainingError: the folder cannot be written; nothing is left of it.
    """
    check_free(run)
    try:
        # Renaming a whole folder into place needs a free name; an empty folder is filled where it is.
        with nullcontext(run) if run.exists() else atomic_folder(run) as folder:
            _write(session, folder)
            write_toml(session.setup.config, folder / CONFIG_FILE)
    except OSError as error:
        raise _unwritable(run, error) from error


def save(session: Session, run: Path) -> None:
    """Write a checkpoint, and the averaged generator as weights.

    Raises:
        TrainingError: the disk is full or the folder cannot be written; earlier checkpoints stay whole.
    """
    try:
        _write(session, run)
    except OSError as error:
        raise TrainingError(
            f"cannot save step {session.step} of the run: {error.strerror or error}",
            path=run,
            hint=f"free some space, then resume the run (`resume=True`, `run={run}`)",
        ) from error


def rewind(session: Session, run: Path, monitor: Monitor) -> None:
    """Remove the log entries after the step of `session`, and save the current settings."""
    config, file = session.setup.config, run / CONFIG_FILE
    before = resolve(file, [], {})
    if config.steps > before.steps:
        monitor.message(
            f"extending the run from {before.steps} to {config.steps} steps: from now on its learning rate "
            f"is that of a run of {config.steps} steps"
        )
    if config != before:
        write_toml(config, file)
    forget_after(run / LOG_FILE, session.step)
    forget_events(run, session.step)
    forget_samples(run, session.step)


def _lock_name(run: Path) -> str:
    return f"{PREFIX}{Path(os.path.realpath(run)).name}.lock"


def _owner(file: Path) -> str:
    with suppress(OSError, ValueError):
        return file.read_text(encoding="utf-8")[:200] or "another process"
    return "another process"


def _unwritable(run: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"cannot write the run: {error.strerror or error}", path=run, hint="choose another `run`"
    )


def _sweep(run: Path, keep: Path) -> None:
    """Remove the unfinished files and folders of killed processes; nothing else writes here now."""
    staged = re.compile(re.escape(f"{PREFIX}{run.name[:100]}-") + r"[a-z0-9_]{8}")
    places = [place for place in run.parent.glob(f"{PREFIX}*") if staged.fullmatch(place.name)]
    for place in [*places, *run.rglob(f"{PREFIX}*")]:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        elif place != keep:
            with suppress(OSError):
                place.unlink(missing_ok=True)


def _write(session: Session, folder: Path) -> None:
    # The weights first: a run killed after its last checkpoint has no step left that would write them.
    save_weights(folder / WEIGHTS_FILE, session.average.module, _card(session, session.step, session.metrics))
    for metric, weights in session.best.weights.items():
        best = session.best.found[metric]
        save_weights(best_file(folder, metric), weights, _card(session, best.step, best.metrics))
    save_checkpoint(folder / CHECKPOINTS, to_checkpoint(session))


def _card(session: Session, step: int, metrics: Mapping[str, float]) -> WeightsCard:
    """Return the metadata of the weights after `step`, with the `metrics` of its validation."""
    setup = session.setup
    return WeightsCard(
        model=setup.model.name,
        scale=setup.config.scale,
        options=setup.start.options.model_dump(mode="json"),
        objective=setup.objective.name,
        steps=step,
        data=setup.images.fingerprint,
        metrics=dict(metrics),
        versions=versions("lightning-fabric"),
        notes=notes_of(session.objective),
    )
