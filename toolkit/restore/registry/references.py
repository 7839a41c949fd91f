"""References to models as people write them: ``NAME`` or ``NAME:WEIGHTS``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from restore.errors import UsageError
from restore.interfaces import ModelSpec

__all__ = ["ModelReference"]


@dataclass(frozen=True)
class ModelReference:
    r"""A model by name, and the weights to use if the reference says which.

    A name never holds a colon, so the first one ends it: whatever follows is the name of weights or the path
    of a file, in which colons and plus signs mean nothing.

        >>> ModelReference.parse("enhancenet")
        ModelReference(name='enhancenet', weights='')
        >>> ModelReference.parse("enhancenet:e").weights
        'e'
        >>> ModelReference.parse(r"spandrel:C:\networks\a+b.pth").weights
        'C:\\networks\\a+b.pth'
    """

    name: str
    weights: str = ""

    @classmethod
    def parse(cls, text: str) -> ModelReference:
        """Split ``NAME[:WEIGHTS]``.

        Raises:
            UsageError: the name is missing, or a colon is not followed by weights.
        """
        name, colon, weights = text.partition(":")
        if not name or (colon and not weights):
            raise UsageError(
                f"'{text}' is not a model", hint="write NAME or NAME:WEIGHTS, such as enhancenet:e"
            )
        return cls(name, weights)

    def __str__(self) -> str:
        return f"{self.name}:{self.weights}" if self.weights else self.name

    def file(self, spec: ModelSpec) -> Path | None:
        """The weights as a file, or `None` if they are those that a plugin brings.

        A name that the model declares comes first. Anything else is a file if the model consists of files,
        if it looks like a path, or if there is such a file.

        Args:
            spec: the model of this name.
        """
        if not self.weights or self.weights in {entry.name for entry in spec.weights}:
            return None
        file = Path(self.weights)
        is_path = file.suffix == ".safetensors" or bool(set(self.weights) & {"/", "\\"}) or file.is_file()
        return file if is_path or spec.open is not None else None
