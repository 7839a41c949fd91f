"""What TensorBoard shows of a run: event files in its folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

__all__ = ["Events"]


class Events:
    """Figures and pictures of a run, as TensorBoard reads them.

    Not torch's `SummaryWriter`: that writes from a thread, which would tell of a full disk by a traceback,
    and imports TensorFlow where it is installed. A kill leaves at most a last record that is cut short,
    which readers pass over.

    Args:
        folder: where the file is made, as soon as there is something to write.
        step: the last one whose figures are kept: what earlier files say about later steps is void,
            because it comes again.
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
            self._file = self.folder / f"events.out.tfevents.{time.time_ns()}"
            begin = {"step": self.step + 1, "session_log": {"status": SessionLog.START}}
            events = ({"file_version": "brain.Event:2"}, begin, *events)
        with self._file.open("ab") as file:
            for event in events:
                RecordWriter(file).write(Event(wall_time=time.time(), **event).SerializeToString())
