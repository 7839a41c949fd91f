"""Private parts of libraries: which ones are used, that there are no others, and that each is as expected.

A new release of a library may move them without notice; these tests then say what to look at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
PYTHON = "toolkit", "plugins", "examples", "benchmarks", "docs"

USED = {
    "toolkit/restore/evaluation/cost.py": {
        "torch.utils._python_dispatch",  # the only way to see every tensor that an operation makes
        "torch.utils._pytree",
    },
    "toolkit/restore/fusion/layers.py": {  # made for torch.compile, and without a public name
        "torch.ops.mkldnn._convolution_pointwise",
        "torch.ops.mkldnn._convolution_pointwise_",
        "torch.ops.mkldnn._convolution_transpose_pointwise",
    },
    "toolkit/restore/training/compiler.py": {
        "torch._functorch.config"  # a setting of torch.compile that has no public name
    },
    "plugins/spandrel/restore_spandrel/network.py": {
        "descriptor._call_fn"  # the public call clamps, and can neither be differentiated nor traced
    },
}


def is_private(dotted: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in dotted.split("."))


def private_names(file: Path) -> Iterator[str]:
    """Modules and attributes with a leading underscore that do not belong to the code that uses them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.ImportFrom):
            if is_private(node.module or ""):
                yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            if owner not in {"self", "cls"}:
                yield f"{owner}.{node.attr}"


def test_no_other_private_parts_are_used() -> None:
    found: dict[str, set[str]] = {}
    for folder in PYTHON:
        for file in sorted((ROOT / folder).rglob("*.py")):
            names = set(private_names(file))
            whole = {name for name in names if not any(other.startswith(f"{name}.") for other in names)}
            found |= {str(file.relative_to(ROOT)): whole} if whole else {}
    assert found == USED


def test_the_scan_sees_imports_and_attributes(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import a._b\nfrom c import _d\nfrom e._f import g\nx = h._i\nself._own = x.__dict__\n")
    assert set(private_names(file)) == {"a._b", "c._d", "e._f", "h._i"}


def test_a_dispatch_mode_sees_the_results_of_every_operation() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    seen: list[Any] = []

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **kwargs or {})
            seen.extend(tree_leaves({"result": [result]}))
            return result

    image = torch.ones(3)
    with Watch():  # type: ignore[no-untyped-call]  # torch does not annotate it
        total = (image + 1).sum()
    assert [tuple(tensor.shape) for tensor in seen] == [(3,), ()]
    assert seen[-1] is total


def test_the_compiler_has_the_setting_that_keeps_buffers() -> None:
    from torch._functorch import config

    assert isinstance(config.donated_buffer, bool)


@pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_convolution_pointwise"), reason="this build of PyTorch is without oneDNN"
)
def test_onednns_fused_operations_take_what_the_fused_layers_give_them() -> None:
    random = torch.Generator().manual_seed(0)
    image, weight, bias = (
        torch.randn(*shape, generator=random) for shape in ((1, 4, 7, 9), (4, 4, 3, 3), (4,))
    )
    ones, plain = (1, 1), torch.nn.functional.conv2d(image, weight, bias, padding=1)
    ops = torch.ops.mkldnn
    relu = ops._convolution_pointwise(image, weight, bias, ones, ones, ones, 1, "relu", [], "")
    torch.testing.assert_close(relu, plain.relu(), rtol=1e-4, atol=1e-4)
    added = ops._convolution_pointwise_.binary(
        torch.ones_like(plain), image, weight, bias, ones, ones, ones, 1, "add", 1.0, None, [], None
    )
    torch.testing.assert_close(added, plain + 1, rtol=1e-4, atol=1e-4)
    enlarged = ops._convolution_transpose_pointwise(
        image, weight, bias, ones, (0, 0), (2, 2), ones, 1, "relu", [], ""
    )
    expected = torch.nn.functional.conv_transpose2d(image, weight, bias, 2, 1).relu()
    torch.testing.assert_close(enlarged, expected, rtol=1e-4, atol=1e-4)
    for name in ("_is_mkldnn_bf16_supported", "_is_mkldnn_fp16_supported"):
        assert isinstance(getattr(ops, name)(), bool)


def test_a_descriptor_of_spandrel_calls_its_network_without_clamping() -> None:
    spandrel = pytest.importorskip("spandrel")
    from spandrel.architectures.ESRGAN import ESRGAN, ESRGANArch

    network = ESRGAN(num_filters=8, num_blocks=1, scale=1)
    descriptor = ESRGANArch().load(network.state_dict())
    assert isinstance(descriptor, spandrel.ImageModelDescriptor)
    image = 100 * torch.ones(1, 3, 8, 8)
    with torch.no_grad():
        restored = descriptor._call_fn(descriptor.model, image)
        assert torch.equal(restored, descriptor.model(image))
    assert restored.abs().max() > 1
