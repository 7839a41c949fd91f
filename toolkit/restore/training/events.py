"""What TensorBoard shows of a run: event files in its folder."""

from __future__ import annotations

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
    """Figures and pictures of a run, as TensorBoard reads them.

    Not torch's `SummaryWriter`: that writes from a thread, which would tell of a full disk by a traceback,
    and imports TensorFlow where it is installed. A kill leaves at most a last record that is cut short,
    which readers pass over.

    Args:
        folder: where the file is made, as soon as there is something to write.
        step: steps done; a TensorBoard that is open forgets what it was told about later ones.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        self.step = step
        self._file: Path | None = None

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Add a point to the curve of each figure.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        self._add(step, [{"tag": name, "simple_value": value} for name, value in figures.items()])

    def picture(self, step: int, name: str, file: Path) -> None:
        """Show the image in `file`.

        Raises:
            OSError: the file cannot be read, the disk is full or the folder cannot be written.
        """
        with Image.open(file) as image:
            width, height = image.size
        picture = {"width": width, "height": height, "encoded_image_string": file.read_bytes()}
        self._add(step, [{"tag": name, "image": picture}])

    def _add(self, step: int, values: list[dict[str, Any]]) -> None:
        self._write({"step": step, "summary": {"value": values}})

    def _write(self, *events: dict[str, Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        if self._file is None:
            # Readers take the files in the order of their names.
            self._file = self.folder / f"{_NAME}{time.time_ns()}"
            begin = {"step": self.step + 1, "session_log": {"status": SessionLog.START}}
            events = ({"file_version": "brain.Event:2"}, begin, *events)
        with self._file.open("ab") as file:
            for event in events:
                RecordWriter(file).write(Event(wall_time=time.time(), **event).SerializeToString())


def forget_events(run: Path, step: int) -> None:
    """Drop what a run told TensorBoard after the checkpoint from which it goes on.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    from tensorboard.compat.proto.event_pb2 import Event

    for path in run.glob(f"{_NAME}*"):
        with path.open("rb") as file, atomic_file(path) as temporary, temporary.open("wb") as kept:
            for record in _records(file):
                if Event.FromString(record[_HEADER:-_FOOTER]).step <= step:
                    kept.write(record)


_HEADER = 12  # bytes: the length of the content, and a checksum of that length
_FOOTER = 4  # bytes: a checksum of the content


def _records(file: BinaryIO) -> Iterator[bytes]:
    """Whole records, up to one that a kill cut short."""
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    while len(header := file.read(_HEADER)) == _HEADER:
        length, checksum = struct.unpack("<QI", header)
        if masked_crc32c(header[:8]) != checksum:
            return
        rest = file.read(length + _FOOTER)
        if len(rest) < length + _FOOTER:
            return
        yield header + rest
