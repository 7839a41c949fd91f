"""A sample of tests/long/fuzz_images.py, which tries thousands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[1] / "long" / "fuzz_images.py"


@pytest.mark.skipif(sys.platform != "linux", reason="the bound on memory is Linux's")
def test_damaged_files_are_read_or_refused_and_nothing_else() -> None:
    command = [sys.executable, str(COMMAND), "--count", "300", "--first", "1000000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["read"] > 20
    assert found["refused"] > 100
