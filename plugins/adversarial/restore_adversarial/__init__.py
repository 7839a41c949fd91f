"""Adversarial losses and discriminators that any objective can name."""
