"""One loaded model, ready to restore images of any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, get_args, overload

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from restore.checkpoint import LoadedModel
from restore.choices import Alpha, Engine, Precision, check_choice
from restore.errors import UsageError
from restore.estimation import Estimate
from restore.images import Photo, conversion_of
from restore.inference.choosing import Choice
from restore.inference.color import in_srgb, without_bleeding
from restore.inference.conditions import (
    as_tensors,
    check_conditions,
    check_strength,
    estimated,
    examined,
    given_numbers,
    limits_of,
)
from restore.inference.devices import DTYPES, choose_device, choose_precision
from restore.inference.engines import engine_network, engine_precision
from restore.inference.ensemble import self_ensembled
from restore.inference.inputs import as_batch, as_photo, file_of, from_values, in_unit_range
from restore.inference.sizing import resized, scaled
from restore.inference.tiles import Progress, TileSize, Tiling, clamped
from restore.inference.torch_network import Network, torch_network
from restore.levels import to_values
from restore.resizing import cubic_reach, imresize

__all__ = ["Restorer", "Selected"]

Numbers = Mapping[str, float]

Kind = TypeVar("Kind", bytes, Image.Image, NDArray[Any], Tensor, Photo)
"""An image whose result is of the same kind."""


@dataclass(frozen=True)
class Selected:
    """How one image is restored."""

    restorer: Restorer | None
    """`None` leaves the image unchanged."""
    conditions: Numbers = field(default_factory=dict)
    """As `Restorer.conditions_of` returns them."""
    choice: Choice | None = None
    """What was found in the image, if a model was chosen for it, or if its model was not trained on that."""


class Restorer:
    """Restores images with one model. Safe to call from several threads at once.

    Args:
        model: from `restore.checkpoint.load_model`; its network may be moved to `device`.
        scale: output pixels per input pixel along one side; below that of the model, also a fraction, results
            are downscaled with antialiased bicubic interpolation. `None` is that of the model.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto`` is bfloat16 where the hardware has it; ``int8`` needs OpenVINO.
        tile: see `TileSize`.
        engine: ``torch``, ``openvino`` or ``onnxruntime``; all but torch run on the CPU.
        alpha: how transparency is enlarged: ``bicubic``, or by the ``model`` as if it were a gray image.
        strength: how much to remove of the noise and compression that are estimated for the network: 1 is
            all of it, 0.5 half.
        self_ensemble: average the results for the eight flips and rotations of an image, see
            `restore.inference.ensemble`.

    Raises:
        UsageError: the scale is beyond that of the model, the device does not exist, the tile is empty, there
            is nothing that `strength` applies to, or the engine is not installed or cannot run the model.
    """

    def __init__(  # noqa: PLR0913 - the choices of `load`, which builds it
        self,
        model: LoadedModel,
        *,
        scale: float | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        tile: TileSize = "auto",
        engine: Engine = "torch",
        alpha: Alpha = "bicubic",
        strength: float = 1.0,
        self_ensemble: bool = False,
    ) -> None:
        check_choice("engine", engine, get_args(Engine))
        check_choice("alpha", alpha, get_args(Alpha))
        check_conditions(model)
        check_strength(strength, model)
        self.model = model
        self.output_scale = _checked(scale, model.scale)
        self.engine = engine
        self.alpha = alpha
        self.strength = strength
        self.self_ensemble = self_ensemble
        if engine == "torch":
            self.device = choose_device(device)
            self.dtype = choose_precision(precision, self.device, model.precisions)
            self._network = torch_network(model, self.device, self.dtype, self_ensemble=self_ensemble)
        else:
            self.device = torch.device("cpu")
            self.dtype = engine_precision(engine, model, precision, device)
            network = engine_network(engine, model, self.dtype)
            self._network = self_ensembled(network) if self_ensemble else network
        self._tiling = Tiling(model, tile, self.device, self.dtype, whole_graph=engine != "torch")

    @property
    def reference(self) -> str:
        """The model as a user names it."""
        return self.model.reference

    @property
    def scale(self) -> int:
        """Output pixels per input pixel of the model itself, as `restore` works."""
        return self.model.scale

    @property
    def tile(self) -> TileSize:
        """Longest side of a tile, which may be changed."""
        return self._tiling.size

    @tile.setter
    def tile(self, tile: TileSize) -> None:
        self._tiling.size = tile

    @property
    def precision(self) -> str:
        """Number format of products: ``fp32``, ``bf16``, ``fp16`` or ``int8``."""
        names = {dtype: name for name, dtype in DTYPES.items()} | {torch.int8: "int8"}
        return names[self.dtype]

    @property
    def margin(self) -> int | None:
        """Input pixels that a tile is read with on each side; `None` for a model that is never tiled."""
        return self._tiling.margin

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about results that differ from what a user may expect."""
        name, notes = self.model.reference, []
        if self.output_scale != self.scale:
            notes.append(
                f"{name}: the model works at {self.scale}x; results are downscaled to {self.output_scale:g}x "
                "with bicubic interpolation"
            )
        if self.margin is None and isinstance(self.tile, int):
            notes.append(f"{name}: the model needs the whole image at once: `tile` is ignored")
        elif self.margin is not None and self.model.halo is None and self.tile != "off":
            notes.append(
                f"{name}: large images are cut into tiles that overlap by {self.margin} pixels, which does "
                "not give exactly the result of the whole image; `tile='off'` works on the whole image"
            )
        return tuple(notes)

    def working_memory(self, height: int, width: int) -> int:
        """Estimated peak memory of the network in bytes for an image of this size."""
        return self._tiling.memory(height, width)

    @overload
    def upscale(
        self, image: str | PathLike[str], progress: Progress | None = None, conditions: Numbers | None = None
    ) -> Image.Image: ...

    @overload
    def upscale(
        self, image: Kind, progress: Progress | None = None, conditions: Numbers | None = None
    ) -> Kind: ...

    def upscale(self, image: Any, progress: Progress | None = None, conditions: Numbers | None = None) -> Any:
        """Restore one image and return the same kind of image.

        Args:
            image: the path of a file (the result is a PIL image), the bytes of a file, a PIL image of any
                mode, a `Photo`, a NumPy array ``(H, W)`` or ``(H, W, C)``, or a tensor ``(3, H, W)`` or
                ``(B, 3, H, W)``. Pixels are uint8 or uint16 levels, or floats in [0, 1].
            progress: called with the fraction that is done.
            conditions: from `conditions_of`; `None` calls it.

        Returns:
            The image enlarged by `output_scale`, with the pixel type of the input. Gray stays gray, alpha and
            the color profile are kept; the network sees the colors as sRGB.

        Raises:
            UsageError: it is no image, or its pixels have an unknown range.
            ImageError: the file cannot be read.

        Example:
            >>> from restore.inference import load
            >>> load("bicubic", scale=2).upscale(torch.zeros(3, 4, 5, dtype=torch.uint8)).shape
            torch.Size([3, 8, 10])
        """
        if isinstance(image, Tensor):
            return self._upscale_tensor(image, progress, conditions)
        photo, back = as_photo(image)
        if conditions is None:
            conditions = self.conditions_of(photo, file_of(image))
        height, width = photo.color.shape[-2:]
        restored = self._restore_photo(photo, progress, conditions)
        return back(resized(restored, scaled((width, height), self.output_scale)))

    @overload
    def clean(self, image: str | PathLike[str], progress: Progress | None = None) -> Image.Image: ...

    @overload
    def clean(self, image: Kind, progress: Progress | None = None) -> Kind: ...

    def clean(self, image: Any, progress: Progress | None = None) -> Any:
        """Restore one image without enlarging it: `upscale`, which refuses models that enlarge.

        Raises:
            UsageError: the model enlarges, or as for `upscale`.
            ImageError: the file cannot be read.
        """
        if self.output_scale != 1 or self.scale != 1:
            raise UsageError(
                f"model '{self.model.reference}' enlarges {self.scale}x",
                hint="use `upscale`, or a model that works at 1x",
            )
        return self.upscale(image, progress)

    def conditions_of(self, image: Photo | Tensor, file: Path | bytes | None = None) -> dict[str, float]:
        """The numbers that the network gets for an image, by name: those given to `load`, or estimates.

        Args:
            image: a photo, or ``(1, 3, H, W)``, uint8 levels or floats in [0, 1]. It is seen as a whole.
            file: where it was read from, or the file's content: the tables of a JPEG state its quality.

        Raises:
            ImageError: `file` cannot be read.

        Example:
            >>> from restore.inference import load
            >>> load("bicubic").conditions_of(torch.zeros(1, 3, 8, 8))
            {}
        """
        if "auto" not in self.model.conditions.values():
            return given_numbers(self.model)
        return self.conditions_from(examined(image, file))

    def conditions_from(self, found: Estimate) -> dict[str, float]:
        """The same for an image that was looked at before.

        Args:
            found: from `restore.inference.conditions.examined`.
        """
        return given_numbers(self.model) | estimated(self.model, found, self.strength)

    def select(self, image: Photo | Tensor, file: Path | bytes | None = None) -> Selected:
        """Look at an image before it is restored.

        Args:
            image: as for `conditions_of`.
            file: as for `conditions_of`.

        Returns:
            This restorer, with the numbers for the network and with what the weights were not trained on.

        Raises:
            ImageError: `file` cannot be read.
        """
        limits = limits_of(self.model)
        if limits is None:
            return Selected(self, self.conditions_of(image, file))
        found = examined(image, file)
        conditions = self.conditions_from(found)
        if not limits.exceeded_by(found):
            return Selected(self, conditions)
        return Selected(self, conditions, Choice.of(self.model.reference, found, beyond=True))

    @property
    def settings(self) -> dict[str, str]:
        """What results depend on beside the weights, as far as it was set.

        The options that differ from those of the weights, the numbers for the network or ``auto``, `strength`
        and `self_ensemble`.
        """
        numbers = {
            name: value if value == "auto" else f"{value:g}" for name, value in self.model.conditions.items()
        }
        strength = {} if self.strength == 1 else {"strength": f"{self.strength:g}"}
        ensemble = {"self_ensemble": "on"} if self.self_ensemble else {}
        return {**self.model.changed, **numbers, **strength, **ensemble}

    def restore(
        self, image: Tensor, progress: Progress | None = None, conditions: Numbers | None = None
    ) -> Tensor:
        """Run the model under the tensor contract.

        Args:
            image: ``(B, 3, H, W)``, RGB in [0, 1].
            progress: called with the fraction that is done.
            conditions: from `conditions_of`, for all images of the batch; `None` calls it for each.

        Returns:
            ``(B, 3, scale*H, scale*W)``, float32 on the CPU, clamped to [0, 1].

        Raises:
            ValueError: the shape is not that of the tensor contract.
        """
        if image.ndim != 4 or image.shape[1] != 3 or not image.numel():
            raise ValueError(f"expected (B, 3, H, W) with B, H and W >= 1, but got {tuple(image.shape)}")
        batch, _, height, width = image.shape
        result = torch.empty(batch, 3, height * self.scale, width * self.scale)
        self._tiling.fill(result, image, self._bound(image, conditions), progress)
        return result

    def _bound(self, image: Tensor, conditions: Numbers | None) -> Network:
        """The network with its numbers for a batch: ``(B, 3, h, w)`` -> ``(B, 3, scale*h, scale*w)``."""
        if not self.model.conditions:
            return self._network
        if conditions is None:
            each = [self.conditions_of(one[None]) for one in image]
            numbers = as_tensors(
                {name: torch.tensor([found[name] for found in each]) for name in self.model.conditions},
                self.model,
                len(image),
            )
        else:
            numbers = as_tensors(conditions, self.model, len(image))
        return lambda tile: self._network(tile, *numbers)

    def _upscale_tensor(self, image: Tensor, progress: Progress | None, conditions: Numbers | None) -> Tensor:
        single = image.ndim == 3
        values = in_unit_range(as_batch(image))
        restored = self.restore(values, progress, conditions)
        width, height = scaled((values.shape[-1], values.shape[-2]), self.output_scale)
        if restored.shape[-2:] != (height, width):
            restored = imresize(restored, (height, width)).clamp(0, 1)
        restored = from_values(restored, image.dtype).to(image.device)
        return restored[0] if single else restored

    def _restore_photo(self, photo: Photo, progress: Progress | None, conditions: Numbers) -> Photo:
        size = (photo.color.shape[-2] * self.scale, photo.color.shape[-1] * self.scale)
        channels = 1 if photo.gray else 3
        bound = self._bound(photo.color, conditions)
        network, notes = self._network_for(photo, bound)
        # Of a large photo even one copy in float32 would be too much: tiles become levels one by one.
        dtype = torch.uint8 if photo.bits == 8 else torch.float32
        color = torch.empty(1, channels, *size, dtype=dtype, memory_format=torch.channels_last)
        alpha = photo.alpha
        # Where it converts colors, the network also enlarges by bicubic interpolation.
        reach = 0 if network is bound else cubic_reach(self.scale)
        self._tiling.fill(color, without_bleeding(photo.color, alpha), network, progress, reach)
        if alpha is not None:
            alpha = self._enlarged_alpha(alpha, size, dtype, bound)
        dpi = photo.dpi and (photo.dpi[0] * self.scale, photo.dpi[1] * self.scale)  # a print keeps its size
        color = color.expand(1, 3, *size)
        return replace(photo, color=color, alpha=alpha, dpi=dpi, notes=photo.notes + notes)

    def _enlarged_alpha(
        self, alpha: Tensor, size: tuple[int, int], dtype: torch.dtype, network: Network
    ) -> Tensor:
        if self.alpha == "bicubic":
            return clamped(imresize(to_values(alpha), size), dtype).to(dtype)
        enlarged = torch.empty(1, 1, *size, dtype=dtype)
        self._tiling.fill(enlarged, alpha.expand(1, 3, -1, -1), network)
        return enlarged

    def _network_for(self, photo: Photo, network: Network) -> tuple[Network, tuple[str, ...]]:
        """`network`, or what converts the colors of a photo around it, and notes about them."""
        if photo.icc_profile is None:
            return network, ()
        conversion = conversion_of(photo.icc_profile)
        if conversion is None:
            return network, ("its color profile is damaged or unknown: the model took its colors for sRGB",)
        return (network if conversion.is_identity else in_srgb(network, conversion)), ()


def _checked(scale: float | None, native: int) -> float:
    """The scale of results.

    Raises:
        UsageError: the model does not reach it.
    """
    if scale is None:
        return native
    if not scale >= 1:  # which NaN is not either
        raise UsageError(f"cannot work at scale {scale:g}", hint="set `scale` to 1 or more")
    if scale > native:
        raise UsageError(
            f"the model works at {native}x, not at {scale:g}x", hint=f"set `scale` to {native} or less"
        )
    return scale
