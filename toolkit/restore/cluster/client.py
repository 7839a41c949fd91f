"""Connect to a Dask scheduler, or start workers on this machine."""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar

import dask
from distributed import Client, LocalCluster
from distributed.utils import LoopRunner
from tornado.ioloop import IOLoop

from restore.cluster.equality import differences, installed, mismatch, processor
from restore.cluster.mapping import Killed, Reply, Work, connection_lost, mapped
from restore.errors import RestoreError, UsageError, in_one_line

__all__ = ["Cluster", "connect"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOCAL = re.compile(r"local:([1-9]\d*)")


class Cluster:
    """The workers of one scheduler. Made by `connect`; a context manager.

    Args:
        connect: connects to the scheduler. It is called again for work that comes after the connection was
            lost, so that a program that runs on can use a scheduler that was started again.

    Raises:
        RestoreError: there is no scheduler.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client = connect()
        self._versions = installed()
        self._lock = threading.Lock()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def dashboard(self) -> str:
        """Address of the scheduler's web page."""
        return str(self._client.dashboard_link or "")

    @property
    def workers(self) -> int:
        """How many there are now."""
        return len(self._client.nthreads())

    def check(self) -> tuple[str, ...]:
        """Compare the versions of all workers with those of this process.

        Returns:
            What a user may not expect: workers of several kinds.

        Raises:
            RestoreError: a version differs, a worker has no restorekit, or the scheduler is gone.
        """
        try:
            replies = self._client.run(_described, on_error="return")
        except OSError as error:
            raise connection_lost() from error
        # A worker that ends just now cannot be asked; the one in its place is checked with its first item.
        found = {worker: reply for worker, reply in replies.items() if not isinstance(reply, OSError)}
        for worker, reply in found.items():
            if isinstance(reply, Exception):
                raise RestoreError(
                    f"worker {worker} cannot run restorekit: {in_one_line(reply)}",
                    hint="install the same versions on the client and all workers",
                )
            versions, _ = reply
            if differing := differences(self._versions, versions):
                raise mismatch(worker, differing)
        kinds = sorted({kind for _, kind in found.values()} | ({processor()} if found else set()))
        if len(kinds) < 2:
            return ()
        return (
            f"client and workers have different processors ({', '.join(kinds)}), on which the last digits of "
            "a result depend",
        )

    def map(
        self,
        work: Work[Item, Result],
        items: Iterable[Item],
        contents: Mapping[str, bytes] | None = None,
        on_workers: Callable[[int], None] = lambda _: None,
    ) -> Iterator[tuple[Item, Reply[Result] | Killed]]:
        """Yield each item with the result of `work`, as they are finished.

        Args:
            work: called on a worker with an item and `contents`; what it raises ends everything.
            items: taken one by one; a few per thread of the workers are in the scheduler at a time.
            contents: files for the workers, by their SHA-256.
            on_workers: called with the number of workers, about once per second.

        Raises:
            RestoreError: the scheduler is gone, or a worker cannot do the work at all.
        """
        client = self._connected()
        yield from mapped(client, work, items, contents or {}, versions=self._versions, on_workers=on_workers)

    def _connected(self) -> Client:
        with self._lock:
            if self._client.status != "running":
                self._client.close()
                self._client = self._connect()
                self.check()
            return self._client


@contextmanager
def connect(address: str, patience: float = 10.0) -> Iterator[Cluster]:
    """Connect to a cluster while the block runs.

    Certificates of a ``tls://`` scheduler come from Dask's own configuration.

    Args:
        address: ``tcp://HOST:PORT`` or ``tls://HOST:PORT`` of a scheduler; or ``local:N`` for N new processes
            on this machine, which end with the block and accept connections from this machine only.
        patience: seconds for a scheduler to answer.

    Raises:
        UsageError: the address has another form.
        RestoreError: there is no scheduler.
    """
    if address.startswith("local:"):
        match = _LOCAL.fullmatch(address)
        if match is None:
            raise UsageError(f"'{address}' has no number of workers", hint="set `cluster` to local:4")
        with (
            _quiet(),
            _patient(),
            _started(int(match[1])) as started,
            Cluster(partial(Client, started, set_as_default=False)) as cluster,
        ):
            yield cluster
        return
    if not re.fullmatch(r"(tcp|tls)://\S+:\d+", address):
        raise UsageError(
            f"'{address}' is not the address of a scheduler",
            hint="set `cluster` to tcp://HOST:8786, tls://HOST:8786 or local:N",
        )
    with _quiet(), _loop() as loop, Cluster(partial(_client, address, patience, loop)) as cluster:
        yield cluster


@contextmanager
def _loop() -> Iterator[IOLoop]:
    """One thread for all connections: the library would leave one behind for each that fails."""
    runner = LoopRunner()
    runner.start()
    try:
        yield runner.loop
    finally:
        runner.stop()


def _client(address: str, patience: float, loop: IOLoop) -> Client:
    try:
        return Client(address, timeout=patience, set_as_default=False, loop=loop)
    except (OSError, ValueError) as error:
        raise RestoreError(
            f"no scheduler answers at {address}: {in_one_line(error)}",
            hint="start one with 'dask scheduler'",
        ) from error
    except TypeError as error:  # what Dask raises where its configuration has none
        raise RestoreError(
            f"there are no certificates for {address}",
            hint="set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, and CERT and KEY of the client",
        ) from error


def _started(count: int) -> LocalCluster:
    """Worker processes here, of one thread for pictures each, which share the processors among them."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(processors // count, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the usual port of the dashboard is taken
        return LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:8787",
            memory_limit=0,  # each image is checked against the memory of the machine before it is read
            silence_logs=logging.CRITICAL,
            scheduler_kwargs={"allowed_failures": 0},
            env={"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        )


def _patient() -> AbstractContextManager[object]:
    """Wait for a restarting worker without a timeout; the library gives up after 15 s."""
    return dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"})


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's log: this package reports errors itself."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def _described() -> tuple[dict[str, str], str]:
    return installed(), processor()
