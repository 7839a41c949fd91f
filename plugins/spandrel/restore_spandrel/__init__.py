"""A plugin of `restore` for community model files, which the spandrel library reads."""
