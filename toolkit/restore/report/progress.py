"""Progress of a training run as text: a line per log entry, or a table of the current values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Progress", "training_line"]

Row = tuple[str, str, str]
"""Name, value, and what the value means."""

_PACE = {"step", "steps", "lr", "images_per_second", "eta"}
_HEALTH = {"loss", "grad_norm", "color_shift", "skipped", "d_real", "d_generated", "gate"}
_SHARE = "share_"


def training_line(line: dict[str, Any]) -> str:
    """A line of the training log as text; nothing for a warning, which is a sentence already."""
    if "steps" in line:
        return _step_line(line)
    values = "  ".join(f"{name} {_digits(value)}" for name, value in line.get("validation", {}).items())
    return f"step {line['step']}  validation  {values}" if values else ""


class Progress:
    """The latest value of each quantity of a run, and the best result of each validation."""

    def __init__(self) -> None:
        self.latest: dict[str, Any] = {}
        self.validated: dict[str, float] = {}
        self.best: dict[str, tuple[float, int]] = {}
        """Value and step, since this object was created."""

    def take(self, line: dict[str, Any]) -> None:
        """Update with a line of the training log."""
        if "steps" in line:
            shares = {name: value for name, value in self.latest.items() if name.startswith(_SHARE)}
            self.latest = shares | line  # they are measured now and then only
            return
        for name, value in line.get("validation", {}).items():
            self.validated[name] = value
            sign = -1 if name.rpartition(" ")[2] in line.get("lower_is_better", ()) else 1
            if name not in self.best or sign * value > sign * self.best[name][0]:
                self.best[name] = (value, line["step"])

    def table(self) -> Table:
        """Some ten rows that fit a terminal of 80 columns."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        for justify in ("left", "right", "left"):
            table.add_column(justify=justify, overflow="fold")
        if self.latest:
            for row in (*self._pace(), *self._terms(), *self._health(), *self._validations()):
                table.add_row(*(Text(cell) for cell in row))
        return table

    def _pace(self) -> Iterator[Row]:
        now = self.latest
        yield "step", f"{now['step']}", f"of {now['steps']}, {_duration(now['eta'])} left"
        yield "images a second", f"{now['images_per_second']:.1f}", ""
        yield "learning rate", f"{now['lr']:.3g}", ""

    def _terms(self) -> Iterator[Row]:
        for name, value in self.latest.items():
            if name not in _PACE | _HEALTH and not name.startswith(_SHARE):
                share = self.latest.get(_SHARE + name)
                yield name, f"{value:.4g}", "" if share is None else f"{share:.0%} of the gradient"
        if "loss" in self.latest:
            yield "loss", f"{self.latest['loss']:.4g}", f"gradient norm {self.latest['grad_norm']:.3g}"

    def _health(self) -> Iterator[Row]:
        now = self.latest
        if "d_real" in now:
            yield "scores", f"{now['d_real']:.3f}", "on real images, 1 is always right"
            yield "", f"{now['d_generated']:.3f}", "on restored images"
            yield "gate", f"{now['gate']:.0%}", "of the steps the discriminator learned"
        if "color_shift" in now:
            yield "color shift", f"{now['color_shift']:.1f}", "of 255"
        if now["skipped"]:
            yield "skipped", f"{now['skipped']}", "steps, whose gradient was not finite"

    def _validations(self) -> Iterator[Row]:
        for name, value in self.validated.items():
            best, step = self.best[name]
            yield name, _digits(value), f"best {_digits(best)} at step {step}"


def _step_line(line: dict[str, Any]) -> str:
    hidden = (_PACE - {"lr"}) | (set() if line["skipped"] else {"skipped"})
    values = "  ".join(f"{name} {value:.4g}" for name, value in line.items() if name not in hidden)
    return (
        f"step {line['step']}/{line['steps']}  {values}  {line['images_per_second']:.1f} images/s  "
        f"{_duration(line['eta'])} left"
    )


def _digits(value: float) -> str:
    """Four significant digits, also where the last is zero."""
    return f"{value:#.4g}".removesuffix(".")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days} d ' if days else ''}{hours}:{minutes:02}:{rest:02}"
