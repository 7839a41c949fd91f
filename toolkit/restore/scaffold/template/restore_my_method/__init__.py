"""The method my-method as a plugin of `restore`."""
