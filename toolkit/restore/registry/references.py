"""References to models as people write them: ``NAME``, ``NAME:WEIGHTS``, or several joined by ``+``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from restore.errors import UsageError
from restore.interfaces import ModelSpec

__all__ = ["ModelReference", "numbered", "owner_of"]

_NEXT = re.compile(r"\+(?=[a-z0-9][a-z0-9_-]*(?:[:+]|$))")
"""A plus sign before a name: where the next model of a chain can begin. A name with a dot, which few have, is
taken for the end of a file's name."""


@dataclass(frozen=True)
class ModelReference:
    r"""A model by name, and the weights to use if the reference says which; or a chain of models.

    A name never holds a colon, so the first one ends it: whatever follows is the name of weights or the path
    of a file, in which further colons mean nothing. A plus sign begins the next model of a chain only where
    the name of one follows, and not inside the name of a file that exists.

        >>> ModelReference.parse("enhancenet")
        ModelReference(name='enhancenet', weights='')
        >>> ModelReference.parse("enhancenet:e").weights
        'e'
        >>> ModelReference.parse(r"spandrel:C:\networks\a+b.pth").weights
        'C:\\networks\\a+b.pth'
        >>> [str(part) for part in ModelReference.parse("ffdnet:jpeg+enhancenet:e").parts]
        ['ffdnet:jpeg', 'enhancenet:e']
    """

    name: str
    """Of a chain, the names of its parts joined by ``+``, which is never the name of a model."""
    weights: str = ""
    chain: tuple[ModelReference, ...] = field(default=(), repr=False)
    """The parts of a chain, in the order in which an image passes them; empty for a model."""

    @classmethod
    def parse(cls, text: str) -> ModelReference:
        """Split ``NAME[:WEIGHTS][+NAME[:WEIGHTS]...]``.

        Raises:
            UsageError: a name is missing, or a colon is not followed by weights.
        """
        if not isinstance(text, str):
            raise UsageError(f"{text!r} is not the name of a model", hint="write NAME or NAME:WEIGHTS")
        parts = []
        for part in _split(text):
            name, colon, weights = part.partition(":")
            if not name or (colon and not weights):
                raise UsageError(
                    f"'{text}' is not a model",
                    hint="write NAME or NAME:WEIGHTS, such as enhancenet:e, or several of them joined by +",
                )
            parts.append(cls(name, weights))
        return parts[0] if len(parts) == 1 else cls("+".join(part.name for part in parts), chain=tuple(parts))

    @property
    def parts(self) -> tuple[ModelReference, ...]:
        """The models: those of a chain, or this one."""
        return self.chain or (self,)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names under which the options of the parts are given; repeated names are numbered.

        >>> ModelReference.parse("dncnn+bicubic+dncnn").labels
        ('dncnn', 'bicubic', 'dncnn#2')
        """
        return numbered([part.name for part in self.parts])

    def __str__(self) -> str:
        if self.chain:
            return "+".join(map(str, self.chain))
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


def owner_of(key: str, labels: Iterable[str]) -> str:
    """The label that an option belongs to: the longest that ``LABEL.OPTION`` begins with; empty if none.

    >>> owner_of("spandrel.span.norm", ["spandrel", "spandrel.span"])
    'spandrel.span'
    """
    return max((label for label in labels if key.startswith(f"{label}.")), key=len, default="")


def numbered(names: Sequence[str]) -> tuple[str, ...]:
    """Labels for the parts of a chain: each name, the second of two equal ones as ``NAME#2``.

    >>> numbered(["jpeg", "bicubic", "jpeg"])
    ('jpeg', 'bicubic', 'jpeg#2')
    """
    counts = [names[: index + 1].count(name) for index, name in enumerate(names)]
    return tuple(name if count == 1 else f"{name}#{count}" for name, count in zip(names, counts, strict=True))


def _split(text: str) -> Iterator[str]:
    """The references of a chain. The longest name of a file that exists is not split."""
    while True:
        places = [match.start() for match in _NEXT.finditer(text)]
        ends = [end for end in (len(text), *reversed(places)) if _is_file(text[:end])]
        end = ends[0] if ends else (places[0] if places else len(text))
        yield text[:end]
        if end == len(text):
            return
        text = text[end + 1 :]


def _is_file(reference: str) -> bool:
    name, _, weights = reference.partition(":")
    try:
        return "+" not in name and bool(weights) and Path(weights).is_file()
    except (OSError, ValueError):  # too long, or with a null
        return False
