"""Threads that work beside a network on a CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import torch

__all__ = ["inherit_cores", "one_core_threads"]

_starting = Lock()  # while a pool starts, the number of the process is one


def one_core_threads(workers: int, name: str = "") -> ThreadPoolExecutor:
    """A pool of threads, in each of which PyTorch uses one core; other threads go on with those they had.

    OpenMP gives each thread that runs a parallel operation a team of its own. Once the threads of all teams
    are more than the machine has cores, GNU's library lets idle ones sleep instead of spin, and a network of
    many short operations waits for its team to wake up: 7 to 11 % of the time of `restore.fusion.FusedStack`
    on two cores.

    Args:
        workers: number of threads, which are started at once.
        name: prefix of their names.

    Example:
        >>> with one_core_threads(2) as pool:
        ...     pool.submit(torch.get_num_threads).result()
        1
    """
    started = Barrier(workers + 1)

    def start() -> None:
        torch.get_num_threads()  # a thread's first use of PyTorch sets the number to that of the process
        torch.set_num_threads(1)  # of this thread, and of the process
        started.wait()

    pool = ThreadPoolExecutor(workers, name, initializer=start)
    with _starting:
        cores = torch.get_num_threads()
        try:
            for _ in range(workers):
                pool.submit(int)
            started.wait()
        except RuntimeError:  # the system has no more threads
            started.abort()
            raise
        finally:
            torch.set_num_threads(cores)  # of the process
    return pool


def inherit_cores() -> None:
    """Have the calling thread use as many cores as the process, though other threads start pools meanwhile.

    PyTorch sets the number at a thread's first use of it.
    """
    with _starting:
        torch.get_num_threads()
