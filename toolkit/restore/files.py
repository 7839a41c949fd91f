"""Atomic writes, hashes, cache folders and JSON Lines."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from restore.errors import RestoreError

__all__ = [
    "PREFIX",
    "atomic_file",
    "atomic_folder",
    "cache_folder",
    "finite",
    "move_into_place",
    "remove_leftovers",
    "remove_link",
    "sha256",
    "stamp",
    "to_line",
]

PREFIX = ".restore-"
"""Prefix of the names of unfinished files."""
_ASKING = threading.Lock()


def sha256(file: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def stamp(file: Path) -> tuple[int, int] | None:
    """Time and size of a file, which change when it is written to; `None` if there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well it becomes `path`, else it is removed.

    The temporary file keeps the suffix of `path`, because encoders choose their format by it; that of a path
    which is temporary itself begins with the same name, so that one owner finds both. Missing parent folders
    are made. The data is on disk before the name is: a power cut cannot leave an empty
    file under the final name. An error about the temporary file becomes one about `path`.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{path.stem}-" if path.name.startswith(PREFIX) else PREFIX
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        move_into_place(temporary, path)
    except BaseException as error:
        if isinstance(error, RestoreError) and error.path == temporary:
            error.path = path
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def move_into_place(temporary: Path, path: Path) -> None:
    """Make a finished file in the same folder `path`, with the permissions of what it replaces.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    _sync(temporary)
    temporary.chmod(_mode(path))
    temporary.replace(path)


def remove_link(path: Path) -> None:
    """Remove a link, of either kind, or a special file from a place that is about to be written.

    In a folder of somebody else it could lead out of that folder. A regular file or a folder stays.

    Raises:
        OSError: it cannot be removed.
    """
    with suppress(FileNotFoundError):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) and (not stat.S_ISREG(status.st_mode) or status.st_nlink > 1):
            path.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like `atomic_file` for a folder that does not exist yet: filled under another name, then renamed.

    Raises:
        OSError: the folder exists already, cannot be written, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{path.name[:100]}-", dir=path.parent))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        temporary.chmod(0o777 & ~_umask())
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def cache_folder() -> Path:
    """Return the folder for files that can be downloaded or computed again. It may not exist.

    It is ``$XDG_CACHE_HOME/restore`` or ``~/.cache/restore`` on every system.
    """
    # Not platformdirs, which ignores XDG_CACHE_HOME on Windows: this is the rule of torch.hub on all systems.
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "restore"


def remove_leftovers(folder: Path) -> None:
    """Remove what `atomic_file` had not finished below `folder` when its process was killed.

    Only for a folder into which nothing else writes at this moment.
    """
    for file in folder.rglob(f"{PREFIX}*"):
        if file.is_file():
            file.unlink(missing_ok=True)


def to_line(content: Mapping[str, Any]) -> str:
    r"""`content` as one line that ends with a line break.

    What is not `finite` becomes null. Characters that could move the cursor of a terminal are written as JSON
    escapes.

        >>> to_line({"name": "東京\u202e\x9b", "psnr": math.inf})
        '{"name": "東京\\u202e\\u009b", "psnr": null}\n'
    """
    line = json.dumps(finite(dict(content)), ensure_ascii=False, allow_nan=False)
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line) + "\n"


def finite(value: Any) -> Any:
    """`value` as JSON can hold it: infinity, which is the PSNR of equal images, and NaN become ``None``."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sync(path: Path) -> None:
    with path.open("r+b") as file:  # Windows syncs no file that is open for reading
        os.fsync(file.fileno())


def _mode(path: Path) -> int:
    """The permissions of the file that is replaced, or those that a new file would get."""
    return path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()


def _umask() -> int:
    with _ASKING:  # it is asked for by setting it, which no other thread must see
        current = os.umask(0)
        os.umask(current)
    return current
