"""Degradations of real photos: blur, resampling, noise, compression, and recipes of them."""
