"""Counters of a server in the text format of Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from restore.serve.jobs import ENDED, Jobs, ServedJob

if TYPE_CHECKING:
    from restore.serve.networks import RestorerCache
    from restore.serve.uploads import Uploads

__all__ = ["Metrics"]


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._jobs = Counter("restore_jobs", "Jobs that ended", ["state"], registry=self._registry)
        self._seconds = Histogram(
            "restore_job_seconds", "Time to read, restore and write an image", registry=self._registry
        )
        self._pixels = Counter("restore_result_pixels", "Pixels of all results", registry=self._registry)
        self._waiting = Gauge("restore_jobs_waiting", "Jobs that wait", registry=self._registry)
        self._running = Gauge("restore_jobs_running", "Jobs that run", registry=self._registry)
        self._stored = Gauge("restore_stored_bytes", "Bytes of uploads and results", registry=self._registry)
        self._models = Gauge("restore_models_loaded", "Models in memory", registry=self._registry)
        start = Gauge("restore_start_time_seconds", "When the server started", registry=self._registry)
        start.set(time.time())

    def hear(self, job: ServedJob | None) -> None:
        """Count a job when it has ended; for `Jobs.hearing`."""
        if job is None or job.state not in ENDED:
            return
        self._jobs.labels(job.state).inc()
        if job.state == "done" and job.size is not None:
            self._seconds.observe(job.seconds or 0.0)
            self._pixels.inc(job.size[0] * job.size[1])

    def text(self, jobs: Jobs, uploads: Uploads, networks: RestorerCache) -> bytes:
        """All values."""
        waiting, running = jobs.count()
        self._waiting.set(waiting)
        self._running.set(running)
        self._stored.set(uploads.stored)
        self._models.set(networks.count)
        return generate_latest(self._registry)
