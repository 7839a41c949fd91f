"""Degradations of real photographs: blur, resampling, noise, compression, and recipes of them."""
