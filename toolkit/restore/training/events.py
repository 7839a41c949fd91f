"""Event files for TensorBoard in the folder of a run."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from restore.files import atomic_file

__all__ = ["Events", "forget_events"]

_NAME = "events.out.tfevents."  # TensorBoard looks for "tfevents"


class Events:
    """Values and images of a run, as TensorBoard reads them.

    Not torch's `SummaryWriter`: that writes in a thread of its own, which prints a traceback when the disk is
    full, and it imports TensorFlow where that is installed. Here a full disk is an error of the step. A kill
    leaves at most a truncated last record, which readers skip.

    Args:
        folder: where the file is created, as soon as there is something to write.
        step: steps done; a TensorBoard that is running drops what it has read of later ones.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        self.step = step
        self._file: Path | None = None

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to the curve of each value.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        self._add(step, [{"tag": name, "simple_value": value} for name, value in values.items()])

    def image(self, step: int, name: str, file: Path) -> None:
        """Add the image in `file`.

        Raises:
            OSError: the file cannot be read, the disk is full or the folder cannot be written.
        """
        with Image.open(file) as image:
            width, height = image.size
        content = {"width": width, "height": height, "encoded_image_string": file.read_bytes()}
        self._add(step, [{"tag": name, "image": content}])

    def _add(self, step: int, values: list[dict[str, Any]]) -> None:
        self._write({"step": step, "summary": {"value": values}})

    def _write(self, *events: dict[str, Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        if self._file is None:
            # Readers take the files in the order of their names.
            self._file = self.folder / f"{_NAME}{time.time_ns()}"
            begin = {"step": self.step + 1, "session_log": {"status": SessionLog.START}}
            events = ({"file_version": "brain.Event:2"}, begin, *events)
        with self._file.open("ab") as file:
            for event in events:
                file.write(_record(Event(wall_time=time.time(), **event).SerializeToString()))


def forget_events(run: Path, step: int) -> None:
    """Remove the events written after the checkpoint from which the run is resumed.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    from tensorboard.compat.proto.event_pb2 import Event

    for path in run.glob(f"{_NAME}*"):
        # In this order, because Windows does not replace a file that is open.
        with atomic_file(path) as temporary, path.open("rb") as file, temporary.open("wb") as kept:
            for content in _contents(file):
                if Event.FromString(content).step <= step:
                    kept.write(_record(content))


_HEADER = 12  # bytes: the length of the content, and a checksum of that length
_FOOTER = 4  # bytes: a checksum of the content


def _record(content: bytes) -> bytes:
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    RecordWriter(buffer).write(content)
    return buffer.getvalue()


def _contents(file: BinaryIO) -> Iterator[bytes]:
    """The contents of whole records, up to one that a kill truncated."""
    while len(header := file.read(_HEADER)) == _HEADER:
        (length,) = struct.unpack("<Q", header[:8])
        if length > 2**31:  # no event is so large: the header is damaged
            return
        rest = file.read(length + _FOOTER)
        content = rest[:length]
        if header + rest != _record(content):
            return
        yield content
