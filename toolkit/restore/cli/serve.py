"""`restore serve`."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from restore.choices import MAX_PIXELS
from restore.cli import console, options
from restore.cli.clusters import connected
from restore.cli.grouping import grouped
from restore.cli.restoring import tile_size
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.serve import Address, Limits

__all__ = ["serve"]

_NEEDED = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")


@dataclass(frozen=True, kw_only=True)
class AddressOptions:
    """Where the server listens, and to whom it answers; see `restore.cli.grouping`."""

    host: Annotated[
        str, typer.Option(help="Listen on this address; all but this machine's own need --token.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Listen on this port; 0 takes a free one.")] = (
        8765
    )
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Answer to this host name too. Repeatable.", show_default=False),
    ] = None
    token: Annotated[
        str,
        typer.Option(
            envvar="RESTORE_TOKEN", help="Require this secret from all clients.", show_default="none"
        ),
    ] = ""

    @property
    def address(self) -> Address:
        """What these options mean."""
        from restore.serve import Address

        return Address(self.host, self.port, tuple(self.allowed_host or ()), self.token)


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """Limits on uploads, and how long they are kept; see `restore.cli.grouping`."""

    keep: Annotated[
        float, typer.Option(min=0.1, metavar="MINUTES", help="Remove uploads and results after this time.")
    ] = 60.0
    max_upload: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Accept images of up to this many MiB.")
    ] = 256
    max_pixels: options.MaxPixels = MAX_PIXELS
    queue: Annotated[int, typer.Option(min=1, help="Let this many jobs wait; refuse more with 429.")] = 1024

    @property
    def limits(self) -> Limits:
        """What these options mean."""
        from restore.serve import Limits

        return Limits(
            upload_bytes=self.max_upload * 2**20,
            pixels=self.max_pixels,
            waiting=self.queue,
            keep_seconds=self.keep * 60,
        )


@grouped
def serve(
    *,
    listen: AddressOptions,
    folder: Annotated[
        Path | None,
        typer.Option(help="Keep uploads and results in this folder.", show_default="the temporary folder"),
    ] = None,
    accept: LimitOptions,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Restore this many images at once, if memory allows.")
    ] = 1,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    tile: options.Tile = "auto",
    computing: options.Computing,
    cluster: options.Cluster = None,
) -> None:
    """Restore photos on a web page or through an HTTP API.

    Open the printed address in a browser, drop photos on the page and download the results. Programs send
    images to /api/restore or /api/jobs, see /reference. Nothing leaves this machine, and no other
    machine can reach it unless you set --host.
    """
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise UsageError("the server is not installed", hint="run: pip install 'restorekit[serve]'")
    from restore.allocator import keep_memory
    from restore.serve import PrivateFolder, RestorerCache, Service
    from restore.serve import serve as run

    keep_memory()
    registry = console.discovered()
    settings = {**vars(computing), "tile": tile_size(tile)}

    def ready(page: str) -> None:
        console.message(f"restore is ready at {page}; stop it with Ctrl-C")
        if browser:
            typer.launch(f"{page}#token={quote(listen.token)}" if listen.token else page)

    with connected(cluster) as found, PrivateFolder(folder) as files:
        executor = None
        if found is not None:
            from restore.batch.cluster import ClusterExecutor

            executor = ClusterExecutor(found, computing.device)
        service = Service(RestorerCache(registry, settings), files, accept.limits, executor, workers)
        run(service, listen.address, ready)
