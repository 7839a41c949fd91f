"""Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833): compact network and recipe as a plugin for `restore`."""
