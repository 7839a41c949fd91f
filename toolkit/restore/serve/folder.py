"""The private folder of a server, which no other user can read and which disappears with it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from restore.errors import RestoreError

__all__ = ["PrivateFolder"]

_PREFIX = "restore-serve-"
_LOCK = "lock"


class PrivateFolder:
    """A temporary folder with a lock that the system releases when the process ends, however that ends.

    Folders whose process was killed are removed when the next one is made in the same place.

    Args:
        parent: where to make it; `None` is the system's folder for temporary files.

    Raises:
        RestoreError: the folder cannot be made.

    Example:
        >>> with PrivateFolder() as folder:
        ...     folder.path.is_dir()
        True
        >>> folder.path.exists()
        False
    """

    def __init__(self, parent: Path | None = None) -> None:
        place = parent or Path(tempfile.gettempdir())
        try:
            place.mkdir(parents=True, exist_ok=True)
            _sweep(place)
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))  # readable by this user only
            self._lock = FileLock(self.path / _LOCK, thread_local=False)
            self._lock.acquire(blocking=False)
        except (OSError, Timeout) as error:
            reason = getattr(error, "strerror", None) or "it is in use"
            raise RestoreError(
                f"cannot make a folder for uploads: {reason}",
                path=place,
                hint="set `folder` to another place",
            ) from error

    def __enter__(self) -> PrivateFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def _sweep(place: Path) -> None:
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False):
                _remove_orphan(Path(entry.path))


def _remove_orphan(folder: Path) -> None:
    """Remove a folder of this user whose lock is free."""
    lock = folder / _LOCK
    with suppress(OSError, Timeout):
        if hasattr(os, "getuid") and folder.lstat().st_uid != os.getuid():
            return
        if lock.is_symlink() or not lock.is_file():  # another server is making it at this moment
            return
        with FileLock(lock, blocking=False):
            shutil.rmtree(folder, ignore_errors=True)
