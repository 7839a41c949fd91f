"""Denoising and removal of compression artifacts: FFDNet and DnCNN."""
