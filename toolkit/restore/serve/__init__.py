"""`restore serve`: a page for people and an HTTP interface for programs, over `restore.batch`."""

from restore.serve.folder import PrivateFolder
from restore.serve.limits import Limits
from restore.serve.networks import RestorerCache
from restore.serve.running import Address, serve
from restore.serve.service import Service

__all__ = ["Address", "Limits", "PrivateFolder", "RestorerCache", "Service", "serve"]
