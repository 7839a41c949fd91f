"""Layers that compute what plain layers compute, in fewer passes over memory and fewer multiplications.

For `ModelSpec.fuse`: a network is written plainly, trained plainly, and run with these::

    head = FusedConv(network.head, torch.bfloat16, relu=True)
    upsampling = FusedUpsampling(network.conv, 2, torch.bfloat16)

`FusedStack` is a whole stack of 3x3 convolutions, of which it needs two thirds of the multiplications.

On a CPU, oneDNN applies a ReLU or adds an image while the result of a convolution is still in registers.
PyTorch has these operations for its compiler; where they are missing, as on a GPU, plain ones are used.
"""

from restore.fusion.layers import FusedConv, FusedResidual, FusedUpsampling, folded
from restore.fusion.stack import FusedStack

__all__ = ["FusedConv", "FusedResidual", "FusedStack", "FusedUpsampling", "folded"]
