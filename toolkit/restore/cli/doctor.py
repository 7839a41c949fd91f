"""`restore doctor`."""

from __future__ import annotations

import typer

from restore.cli import console, options
from restore.registry import discover

__all__ = ["doctor"]


def doctor(
    *,
    json: options.Json = False,
) -> None:
    """Show versions, devices, plugins, caches and any problems.

    The exit code is 1 when something does not work.
    """
    from restore.doctor import examine
    from restore.report import plain_table

    report = examine(discover())
    if json:
        console.emit(report.to_json())
    else:
        blocks = []
        for topic in dict.fromkeys(fact.topic for fact in report.facts):
            rows = [[fact.name, fact.value, fact.note] for fact in report.facts if fact.topic == topic]
            blocks.append(plain_table([topic, "", ""], rows))
        typer.echo("\n\n".join(blocks))
        for problem in report.problems:
            console.message(f"{'error' if problem.broken else 'advice'}: {problem.sentence}")
        if not report.problems:
            console.message("nothing is wrong")
    if report.broken:
        raise typer.Exit(1)
