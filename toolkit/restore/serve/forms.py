"""Forms with a file, parsed while they are received."""

from __future__ import annotations

from http import HTTPStatus
from typing import IO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from restore.serve.problems import Problem

__all__ = ["Form"]

_FIELDS, _FIELD_BYTES = 20, 4096


class Form:
    """A `multipart/form-data` body: the file ``image`` goes straight to its place, fields stay in memory.

    Args:
        content_type: the header of the request.
        target: what the bytes of the file are written to.

    Raises:
        Problem: the header has no boundary, or one that is too long.
    """

    def __init__(self, content_type: str, target: IO[bytes]) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _unreadable("its Content-Type has no boundary")
        self._target = target
        self._headers: dict[bytes, bytes] = {}
        self._header = self._value = b""
        self._name = ""
        self._is_file = False
        self._fields: dict[str, bytes] = {}
        self._filename: str | None = None
        self._is_whole = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._headers.clear,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise _unreadable(str(error)) from error

    def write(self, chunk: bytes) -> None:
        """Take the next part of the body.

        Raises:
            Problem: it is no form, or has too many fields, too long ones or two files.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _unreadable(str(error)) from error

    def end(self) -> tuple[str, dict[str, str]]:
        """The name of the file, and the other fields, when the whole body was written.

        Raises:
            Problem: the body is not whole, or has no file.
        """
        if not self._is_whole:
            raise _unreadable("its end is missing")
        if self._filename is None:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the form has no file `image`; add one")
        return self._filename, {name: _decoded(value) for name, value in self._fields.items()}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition"))[1]
        name = _decoded(options.get(b"name", b""))
        self._is_file = b"filename" in options
        if self._is_file:
            if name != "image" or self._filename is not None:
                raise _unreadable(f"it has a file '{name}'; send one file, `image`")
            self._filename = _decoded(options[b"filename"]) or "image"
            return
        if not name or name == "image":
            raise _unreadable("its file has no filename" if name else "one of its parts has no name")
        if len(self._fields) >= _FIELDS:
            raise _unreadable(f"it has more than {_FIELDS} fields")
        self._name = name
        self._fields[name] = b""

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._target.write(memoryview(data)[start:end])
            return
        self._fields[self._name] += data[start:end]
        if len(self._fields[self._name]) > _FIELD_BYTES:
            raise _unreadable(f"its field '{self._name}' has more than {_FIELD_BYTES} bytes")

    def _on_end(self) -> None:
        self._is_whole = True


def _decoded(text: bytes) -> str:
    """UTF-8, as browsers and programs send it today, or what older ones send."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _unreadable(reason: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, f"the form cannot be read: {reason}")
