"""`restore serve`: a web page and an HTTP API on top of `restore.batch`."""

from restore.serve.folder import PrivateFolder
from restore.serve.limits import Limits
from restore.serve.networks import RestorerCache
from restore.serve.running import Address, serve
from restore.serve.service import Service

__all__ = ["Address", "Limits", "PrivateFolder", "RestorerCache", "Service", "serve"]
