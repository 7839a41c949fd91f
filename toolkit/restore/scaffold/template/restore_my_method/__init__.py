"""The method my-method as a plugin for `restore`."""
