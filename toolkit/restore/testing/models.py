"""Checks of models."""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from restore.errors import UsageError
from restore.inference.onnx_graph import dynamic_shapes, example_sides, no_graph
from restore.interfaces import ModelSpec, Options
from restore.testing.check import Check, check, expect, sample
from restore.tiling import map_tiles

__all__ = ["measured_halo", "model_checks", "opened_checks"]

SIZES = ((1, 1), (1, 7), (7, 1), (33, 47))
"""Heights and widths that a model has to accept, the smallest first."""


def model_checks(spec: ModelSpec, *, scale: int, options: Options | None = None) -> list[Check]:
    """Return the checks of a model at one scale.

    Args:
        spec: the entry.
        scale: a scale that it supports.
        options: options of the model instead of the defaults.

    Example:
        >>> from restore.registry import discover
        >>> for check in model_checks(discover().models["bicubic"], scale=2)[:3]:
        ...     check()
    """
    chosen = spec.options() if options is None else options
    claims = (
        _keeps_shape,
        _keeps_dtype,
        _treats_images_of_a_batch_alike,
        _leaves_its_input_alone,
        _is_deterministic,
        *((_depends_on_its_conditions,) if spec.conditions(chosen) else ()),
        _runs_on_every_device,
        _passes_gradients,
        _saves_and_loads,
        _halo_is_exact,
        _tiles_equal_the_whole,
        *((_fused_equals_plain,) if spec.fuse else ()),
        _traced_equals_plain,
    )
    return [check(f"{spec.name} {scale}x", claim, spec, scale, chosen) for claim in claims]


def opened_checks(spec: ModelSpec, file: Path) -> list[Check]:
    """Return the checks of a model that `ModelSpec.open` reads from `file`.

    They are those that inference relies on.

    Raises:
        RestoreError: the file cannot be opened.
    """
    if spec.open is None:
        raise UsageError(f"model '{spec.name}' does not open files", hint="use model_checks")
    reader = spec.open
    opened = reader(file)
    fixed = ModelSpec(
        spec.name,
        spec.summary,
        build=lambda scale, options: reader(file).module,  # noqa: ARG005
        halo=lambda scale, options: opened.halo,  # noqa: ARG005
        scales=(opened.scale,),
        stride=lambda scale, options: opened.stride,  # noqa: ARG005
        conditions=lambda options: opened.conditions,  # noqa: ARG005
    )
    claims = (
        _keeps_shape,
        _treats_images_of_a_batch_alike,
        _leaves_its_input_alone,
        _is_deterministic,
        _runs_on_every_device,
        _tiles_equal_the_whole,
    )
    subject = f"{spec.name}:{file.name} {opened.scale}x"
    return [check(subject, claim, fixed, opened.scale, spec.options()) for claim in claims]


def measured_halo(module: nn.Module, scale: int, size: int, stride: int = 1, conditions: int = 0) -> int:
    """Measure the halo: the radius of the receptive field in input pixels.

    The gradients of the output pixels inside the middle pixel of a `size` x `size` input are computed in
    float64 with positive weights, so that nothing cancels and no unit is dead. The weights of `module` are
    overwritten. With a `stride`, pixels at every position within it are looked at.

    Args:
        module: the network.
        scale: output pixels per input pixel along one side.
        size: side of the input, larger than twice the halo.
        stride: see `restore.interfaces.ModelSpec.stride`.
        conditions: how many numbers the network takes beside the image.

    Example:
        >>> measured_halo(nn.Conv2d(3, 3, 5, padding=2), scale=1, size=11)
        2
    """
    _make_positive(module)
    image = (0.6 + 0.3 * sample(size, size, dtype=torch.float64)).requires_grad_()
    restored = module(image, *_numbers(conditions, 1))
    # Uneven weights, so that two phases cannot cancel each other by symmetry.
    weights = 0.5 + sample(scale, scale, dtype=torch.float64)
    farthest = 0
    for row, column in product(range(size // 2, size // 2 + stride), repeat=2):
        rows, columns = (slice(start * scale, (start + 1) * scale) for start in (row, column))
        patch = restored[..., rows, columns]
        (gradient,) = torch.autograd.grad((patch * weights).sum(), image, retain_graph=True)
        touched = gradient[0].abs().sum(0).nonzero()
        farthest = max(farthest, int((touched - torch.tensor([row, column])).abs().max()))
    return farthest


def _numbers(conditions: int, batch: int) -> tuple[torch.Tensor, ...]:
    """Numbers for a network that takes some, ``(batch,)`` each, different for each image."""
    return tuple(20.0 + 10 * index + 15 * torch.arange(batch) for index in range(conditions))


def _run(module: nn.Module, image: torch.Tensor, spec: ModelSpec, options: Options) -> torch.Tensor:
    """The result for a batch, with a number for each image where the network takes some."""
    result: torch.Tensor = module(image, *_numbers(len(spec.conditions(options)), len(image)))
    return result


def _build(spec: ModelSpec, scale: int, options: Options) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return spec.build(scale, options).eval()


def _keeps_shape(spec: ModelSpec, scale: int, options: Options) -> None:
    module = _build(spec, scale, options)
    for height, width in SIZES:
        with torch.inference_mode():
            restored = _run(module, sample(height, width), spec, options)
        wanted = (1, 3, height * scale, width * scale)
        expect(
            tuple(restored.shape) == wanted,
            f"an input of {height}x{width} became {tuple(restored.shape)}, expected {wanted}: pad inside the "
            f"model and crop its result where it needs multiples",
        )


def _keeps_dtype(spec: ModelSpec, scale: int, options: Options) -> None:
    module = _build(spec, scale, options)
    for dtype in (torch.float32, torch.float64):
        with torch.inference_mode():
            restored = _run(module.to(dtype), sample(5, 6, dtype=dtype), spec, options)
        expect(restored.dtype == dtype, f"{dtype} became {restored.dtype}: return the dtype of the input")


def _treats_images_of_a_batch_alike(spec: ModelSpec, scale: int, options: Options) -> None:
    module = _build(spec, scale, options).double()
    batch = sample(9, 11, batch=3, dtype=torch.float64)
    with torch.inference_mode():
        numbers = _numbers(len(spec.conditions(options)), len(batch))
        together = module(batch, *numbers)
        apart = torch.cat(
            [module(batch[i : i + 1], *(value[i : i + 1] for value in numbers)) for i in range(len(batch))]
        )
    difference = (together - apart).abs().max().item()
    expect(difference < 1e-9, f"an image differs by {difference:.2g} when others are in its batch")


def _leaves_its_input_alone(spec: ModelSpec, scale: int, options: Options) -> None:
    image = sample(5, 6)
    before = image.clone()
    with torch.inference_mode():
        _run(_build(spec, scale, options), image, spec, options)
    expect(torch.equal(image, before), "the model changed its input: work on a copy")


def _is_deterministic(spec: ModelSpec, scale: int, options: Options) -> None:
    module, image = _build(spec, scale, options), sample(9, 11)
    with torch.inference_mode():
        first, second = (_run(module, image, spec, options) for _ in range(2))
    expect(torch.equal(first, second), "two runs on one image differ: no randomness in evaluation mode")


def _depends_on_its_conditions(spec: ModelSpec, scale: int, options: Options) -> None:
    names = spec.conditions(options)
    twice = sorted({*names} & {*spec.options.model_fields})
    expect(not twice, f"these are names of conditions and of options: {', '.join(twice)}: rename one")
    module, image = _build(spec, scale, options), sample(9, 11)
    numbers = _numbers(len(names), 1)
    with torch.inference_mode():
        before = module(image, *numbers)
        for index, name in enumerate(names):
            other = [value + 20 * (position == index) for position, value in enumerate(numbers)]
            expect(not torch.equal(module(image, *other), before), f"'{name}' makes no difference: use it")


def _runs_on_every_device(spec: ModelSpec, scale: int, options: Options) -> None:
    devices = ["cpu"]
    if torch.accelerator.is_available():
        devices.append(str(torch.accelerator.current_accelerator()))
    for device in devices:
        module = _build(spec, scale, options).to(device)
        with torch.inference_mode():
            numbers = (number.to(device) for number in _numbers(len(spec.conditions(options)), 1))
            restored = module(sample(5, 6).to(device), *numbers)
        expect(restored.device.type == torch.device(device).type, f"the result left {device}")
        expect(restored.isfinite().all(), f"the result on {device} is not finite")


def _passes_gradients(spec: ModelSpec, scale: int, options: Options) -> None:
    module, image = _build(spec, scale, options).train(), sample(9, 11).requires_grad_()
    total = _run(module, image, spec, options).square().sum()
    total.backward()  # type: ignore[no-untyped-call]
    expect(image.grad is not None and image.grad.abs().sum() > 0, "no gradient reaches the input")
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            expect(parameter.grad is not None, f"no gradient reaches '{name}': use it, or freeze it")


def _saves_and_loads(spec: ModelSpec, scale: int, options: Options) -> None:
    module, image = _build(spec, scale, options), sample(9, 11)
    again = spec.build(scale, options).eval()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        file = Path(folder) / "weights.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, file)
        again.load_state_dict(load_file(file))
        expect(
            torch.equal(_run(module, image, spec, options), _run(again, image, spec, options)),
            "the model differs after saving and loading: keep its state in parameters and buffers",
        )


def _halo_is_exact(spec: ModelSpec, scale: int, options: Options) -> None:
    declared = spec.halo(scale, options)
    if declared is None:
        return
    stride, conditions = spec.stride(scale, options), len(spec.conditions(options))
    size = 2 * (declared + stride) + 7
    measured = measured_halo(_build(spec, scale, options), scale, size, stride, conditions)
    expect(
        measured <= declared,
        f"an output depends on an input at least {measured} pixels away, but the halo is {declared}: "
        "the borders of tiles would be visible",
    )
    expect(
        measured == declared,
        f"no output depends on an input farther than {measured} pixels, but the halo is "
        f"{declared}: tiles would be larger than needed",
    )


def _tiles_equal_the_whole(spec: ModelSpec, scale: int, options: Options) -> None:
    halo, overlap, stride = (claim(scale, options) for claim in (spec.halo, spec.overlap, spec.stride))
    expect(stride is not None and stride >= 1, f"the stride is {stride}: return 1 or more")
    if halo is None:
        expect(overlap is None or overlap >= 0, f"the overlap is {overlap}: return None, 0 or more")
        return
    expect(overlap is None, f"the overlap is {overlap} beside a halo of {halo}: return None")
    module = _build(spec, scale, options)
    height, width = 2 * halo + 37, 2 * halo + 45  # so that there are tiles within the image
    image = sample(height, width)
    tiled = torch.empty(1, 3, height * scale, width * scale)

    def run(tile: torch.Tensor) -> torch.Tensor:
        return _run(module, tile, spec, options)

    for tile, inner in map_tiles(run, image, scale=scale, size=halo + 15, halo=halo, stride=stride or 1):
        tile.place(tiled, scale).copy_(inner)
    with torch.inference_mode():
        whole = run(image)
    difference = (tiled - whole).abs().max().item()
    limit = 1e-5 * max(1.0, whole.abs().max().item())
    expect(
        difference <= limit,
        f"tiles differ from the whole image by {difference:.2g}: the halo is too small, the model merges "
        "pixels (return how many as the stride), or it depends on the whole image (return a halo of None)",
    )


def _fused_equals_plain(spec: ModelSpec, scale: int, options: Options) -> None:
    module, fuse = _build(spec, scale, options).double(), spec.fuse
    if fuse is None:
        return
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    fused = fuse(module, torch.float64).eval()
    for height, width in SIZES:
        image = sample(height, width, batch=2, dtype=torch.float64)
        with torch.inference_mode():
            plain, fast = (_run(network, image, spec, options) for network in (module, fused))
        difference = (fast - plain).abs().max().item()
        expect(
            difference <= 1e-10 * max(1.0, plain.abs().max().item()),
            f"the fused network differs by {difference:.2g} from the plain one in float64, on an input of "
            f"{height}x{width}: fusing must be an identity",
        )
    expect(
        all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items()),
        "fusing changed the weights of the plain network: work on copies",
    )
    for dtype in (torch.float32, torch.bfloat16):
        with torch.inference_mode():
            restored = _run(fuse(module.float(), dtype).eval(), sample(9, 11), spec, options)
        expect(
            restored.dtype == torch.float32,
            f"the network fused in {dtype} returned {restored.dtype}: accept and return float32",
        )


def _traced_equals_plain(spec: ModelSpec, scale: int, options: Options) -> str | None:
    module = _build(spec, scale, options).double()
    network = module if spec.fuse is None else spec.fuse(module, torch.float64).eval()
    stride = spec.stride(scale, options)
    image = sample(*example_sides(stride), batch=2, dtype=torch.float64)
    example = (image, *_numbers(len(spec.conditions(options)), 2))
    try:
        shapes = dynamic_shapes(network, example, stride)
        traced = torch.export.export(network, example, dynamic_shapes=shapes).module()
    except Exception as error:  # the exporter wraps whatever the network raises
        return (
            f"{no_graph(spec.name, error)}, so 'restore export' and other engines refuse it: do not branch "
            f"on sizes or values in forward"
        )
    for height, width in ((1 + stride, 6 + stride), (33, 47)):
        image = sample(height, width, batch=2, dtype=torch.float64)
        with torch.inference_mode():
            plain, graph = (_run(network, image, spec, options) for network in (module, traced))
        difference = (graph - plain).abs().max().item()
        expect(
            difference <= 1e-10 * max(1.0, plain.abs().max().item()),
            f"the network as a graph differs by {difference:.2g} from the plain one in float64, on an "
            f"input of {height}x{width}: do not branch on the size while it is traced",
        )
    return None


def _make_positive(module: nn.Module) -> None:
    """Convert to float64, with positive weights that preserve the scale of activations."""
    module.double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            inputs = parameter[0].numel() if parameter.ndim > 1 else 10
            noise = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_((0.5 + noise) / inputs)
