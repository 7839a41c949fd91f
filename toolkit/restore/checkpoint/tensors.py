"""Tensors and JSON as files: equal content is equal bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from restore.errors import first_line
from restore.files import atomic_file

__all__ = ["save_tensors", "sha256", "to_json"]


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write `tensors` whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    # Clones, because safetensors refuses tensors that share memory.
    content = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_file(file) as temporary:
        try:
            # None, because with neither tensors nor metadata it writes what it cannot read.
            save_file(content, temporary, metadata=metadata or None)
        except SafetensorError as error:  # how it reports a full disk
            raise OSError(first_line(error)) from error


def sha256(file: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def to_json(content: Any) -> str:
    """JSON with sorted keys."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False)
