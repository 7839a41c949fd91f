"""The size of results and how they are encoded."""

from __future__ import annotations

from dataclasses import dataclass

from restore.errors import UsageError
from restore.inference.sizing import Size, scaled

__all__ = ["Output"]


@dataclass(frozen=True)
class Output:
    """The requested size and encoding of results.

    Raises:
        UsageError: a side has no pixels.

    Example:
        >>> Output(width=800).size((400, 300), scale=4)
        (800, 600)
    """

    width: int | None = None
    height: int | None = None
    """In pixels; one of them alone keeps the aspect ratio, `None` for both uses the scale."""
    quality: int | None = None
    """1 to 100, for lossy formats; `None` is the default of the format."""
    small: bool = False
    """Make PNG files as small as possible, which is slow."""
    strip: bool = False
    """Leave out metadata; the color profile stays, because the colors need it."""

    def __post_init__(self) -> None:
        """Check that width and height are positive."""
        for name, side in (("width", self.width), ("height", self.height)):
            if side is not None and side < 1:
                raise UsageError(f"a {name} of {side} is not a size", hint=f"set `{name}` to 1 or more")

    @property
    def is_sized(self) -> bool:
        """Whether the size is given in pixels."""
        return self.width is not None or self.height is not None

    def suffix(self, scale: float) -> str:
        """What is added to the names of results: ``_x4``, ``_w800``, ``_h600`` or ``_800x600``."""
        if self.width and self.height:
            return f"_{self.width}x{self.height}"
        if self.width or self.height:
            return f"_w{self.width}" if self.width else f"_h{self.height}"
        return f"_x{scale:g}"

    def size(self, source: Size, scale: float) -> Size:
        """Width and height of the result.

        Args:
            source: width and height of the input in pixels.
            scale: of the restorer's results, for an output without a size in pixels.
        """
        width, height = source
        if not self.is_sized:
            return scaled(source, scale)
        return (
            self.width or scaled((width, 1), (self.height or height) / height)[0],
            self.height or scaled((height, 1), (self.width or width) / width)[0],
        )

    def notes(self, source: Size, native: int) -> tuple[str, ...]:
        """Notes on a result whose size differs from what a model of the scale `native` makes."""
        size = self.size(source, native)
        beyond = max(size[0] / (native * source[0]), size[1] / (native * source[1]))
        if not self.is_sized or beyond <= 1:
            return ()
        return (f"the model enlarges it {native}x, the remaining {beyond:.2g}x is bicubic",)

    def settings(self, scale: float, native: int) -> dict[str, str]:
        """The settings that change the bytes of a result; those at their defaults are left out.

        Args:
            scale: of the restorer's results.
            native: scale of the model itself.
        """
        is_native = not self.is_sized and scale == native
        settings = {
            "size": "" if is_native else self.suffix(scale)[1:],
            "quality": str(self.quality or ""),
            "strip": "yes" if self.strip else "",
        }
        return {name: value for name, value in settings.items() if value}
