"""EnhanceNet (Sajjadi, Schölkopf, Hirsch, ICCV 2017, arXiv 1612.07919) as a plugin of `restore`."""
