"""Train every run of the covering set in two processes, at once and resumed, and in one.

::

    python tests/long/covering_runs.py

The set covers every pair of a researcher's choices; see ``tests/toolkit/covering.py``. A run passes if it is
resumed to the bit in two processes, and equals that of one process up to rounding where one can divide its
batch in the same way. The tests do this for a few of the runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

TOOLKIT = Path(__file__).parents[1] / "toolkit"
sys.path.insert(0, str(TOOLKIT))

from covering import covering_set, name_of, settings, with_covering, write_images  # noqa: E402 - see above
from two_ranks import differing, far_apart, in_one_process, train_in_two  # noqa: E402

from restore.config import TrainingConfig  # noqa: E402
from restore.registry import Plugin, Registry, build, discover  # noqa: E402
from restore.training import train  # noqa: E402


def registry() -> Registry:
    """All installed plugins, the toy plugin of the tests, and that of the covering set."""
    place = importlib.util.spec_from_file_location("toy_plugin", TOOLKIT / "toy" / "toy_plugin.py")
    assert place
    assert place.loader
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    installed = [status.plugin for status in discover().plugins if status.state == "active"]
    return with_covering(build([*installed, Plugin("toy", module)]))


def installed_toy(folder: Path) -> Path:
    """A folder for PYTHONPATH in which the toy plugin is installed."""
    info = folder / "site" / "toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[restore.plugins]\ntoy = toy_plugin\n")
    shutil.copy(TOOLKIT / "toy" / "toy_plugin.py", info.parent)
    return info.parent


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Train, compare, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--first", type=int, default=None, help="only so many of the runs")
    rows = covering_set()[: parser.parse_args().first]
    begin = time.monotonic()
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images")
        runs = {name_of(row): settings(row, folder / "images") for row in rows}
        failed = train_in_two(runs, folder, installed_toy(folder))
        entries = registry()
        for number, (row, fields) in enumerate(runs.items()):
            place = folder / str(number)
            if row in failed:
                say(f"{row}: {failed[row].splitlines()[-1]}")
                continue
            found, alone = differing(place / "resumed", place / "whole"), in_one_process(fields)
            if alone is not None:
                train(TrainingConfig.model_validate(alone), entries, place / "one")
                found += far_apart(place / "whole", place / "one")
            say(f"{row}: {'; '.join(found) or 'equal'}")
            if found:
                failed[row] = "; ".join(found)
    say(f"{len(runs) - len(failed)} of {len(runs)} runs passed in {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
