"""The baselines of comparisons: bicubic, SRCNN, pixel losses, PSNR, SSIM, LPIPS and DISTS."""
