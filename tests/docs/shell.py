"""Run the blocks of a page: commands in this process, Python code, changes to files."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import Block

from restore.cli import main

PLAIN_COMMANDS = {"mkdir", "cp"}
"""Commands that are run as a subprocess without changes."""


class Shell:
    """Follow a page in a folder, as a reader would.

    Args:
        folder: the working directory.
        capfd: captures what commands print.
        monkeypatch: restores the working directory, arguments and path of the process.
        shorten: changes the words of a command that would take too long.
    """

    def __init__(
        self,
        folder: Path,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        shorten: Callable[[list[str]], list[str]] = lambda words: words,
    ) -> None:
        self.folder, self.capfd, self.monkeypatch, self.shorten = folder, capfd, monkeypatch, shorten
        self.names: dict[str, Any] = {"__name__": "page"}
        self.packages: set[str] = set()
        monkeypatch.chdir(folder)

    def do(self, block: Block) -> None:
        """Run one block according to its language and mark."""
        kind, _, rest = block.mark.partition(": ")
        if block.language == "sh":
            for words in block.commands:
                self.run(words, expected=rest if kind == "fails" else None)
        elif block.language == "python":
            if kind == "file":
                (self.folder / rest).write_text(block.text, encoding="utf-8")
            elif kind == "add":
                with (self.folder / rest).open("a", encoding="utf-8") as file:
                    file.write(f"\n\n{block.text}")
            elif kind == "change":
                name, _, old = rest.partition(": ")
                text = (self.folder / name).read_text(encoding="utf-8")
                assert text.count(old) == 1, f"{block}: '{old}' occurs {text.count(old)} times in {name}"
                (self.folder / name).write_text(text.replace(old, block.text.strip()), encoding="utf-8")
            else:
                exec(compile(block.text, str(block), "exec"), self.names)  # noqa: S102

    def run(self, words: list[str], expected: str | None = None) -> None:
        """Run a command that must succeed or, with `expected`, fail with that text in its output."""
        if words[0] == "restore":
            code, output = self._restore(self.shorten(words))
        elif words[:2] == ["pip", "install"]:
            code, output = self._install(self.folder / words[-1].split("[")[0])
        elif words[:2] == ["pip", "wheel"]:  # build isolation would need the network
            code, output = self._process([sys.executable, "-m", *words, "--no-build-isolation"])
        elif words[0] == "pytest":
            code, output = self._process([sys.executable, "-m", *words, "-q", "-p", "no:cacheprovider"])
        else:
            assert words[0] in PLAIN_COMMANDS, f"cannot run {words}"
            code, output = self._process(words)
        report = f"{' '.join(words)} exited with {code}:\n{output}"
        if expected is None:
            assert code == 0, report
        else:
            assert code != 0, report
            assert expected in output, report

    def _restore(self, words: list[str]) -> tuple[int, str]:
        importlib.invalidate_caches()
        for name in [name for name in sys.modules if name.partition(".")[0] in self.packages]:
            del sys.modules[name]  # for a reader, each command is a new process
        self.monkeypatch.setattr(sys, "argv", words)
        self.capfd.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        printed = self.capfd.readouterr()
        return int(code), printed.out + printed.err

    def _install(self, project: Path) -> tuple[int, str]:
        """Install like ``pip install -e``: entry points from a wheel, code from the folder itself."""
        site = self.folder / ".site"
        options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
        code, output = self._process([sys.executable, "-m", "pip", "install", *options, str(project)])
        (package,) = (folder.name for folder in project.glob("restore_*") if folder.is_dir())
        self.packages.add(package)
        for place in (site, project):
            self.monkeypatch.syspath_prepend(str(place))
            self.monkeypatch.setenv("PYTHONPATH", str(place), prepend=os.pathsep)  # for subprocesses
        return code, output

    def _process(self, words: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            words,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout
