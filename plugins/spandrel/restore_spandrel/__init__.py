"""The models of the community, read by the spandrel library, as a plugin of `restore`."""
