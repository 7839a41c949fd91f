"""What every comparison needs: bicubic, SRCNN, pixel losses, PSNR and SSIM as plugins of `restore`."""
