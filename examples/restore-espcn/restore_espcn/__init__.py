"""ESPCN (Shi et al., CVPR 2016, arXiv 1609.05158) as a plugin for `restore`."""
