"""Augmentations of training pairs."""
