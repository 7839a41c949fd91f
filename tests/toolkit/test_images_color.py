"""Color profiles: models work in sRGB, files keep their profile; transparent pixels do not bleed."""

from __future__ import annotations

import struct
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from image_files import with_chunk
from numpy.typing import NDArray
from PIL import Image, ImageCms

import restore
from restore.choices import Alpha
from restore.images import Photo, conversion_of, from_pil, losses, read, write
from restore.images.color import Conversion
from restore.images.profiles import gray_profile, matrix_profile
from restore.inference import Restorer
from restore.inference.color import without_bleeding
from restore.levels import to_values

D65 = (0.3127, 0.3290)
D50 = np.array([0.9642, 1.0, 0.8249])
# Published: SMPTE EG 432-1 with the curve of IEC 61966-2-1; Adobe RGB (1998) Color Image Encoding, 4.3.
DISPLAY_P3 = [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)]
ADOBE_RGB = [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]
SRGB_CURVE = b"para" + bytes(4) + struct.pack(">HH5i", 3, 0, 157286, 62119, 3417, 5072, 2651)
ADOBE_CURVE = b"curv" + bytes(4) + struct.pack(">IH", 1, 0x0233)  # 2 + 51/256
TABLE_CURVE = (
    b"curv"
    + bytes(4)
    + struct.pack(">I1024H", 1024, *(round(65535 * (i / 1023) ** 1.8) for i in range(1024)))
)


def profile(primaries: list[tuple[float, float]], curve: bytes) -> bytes:
    """A version 2 display profile, built from the ICC specification and not from the code under test."""

    def xyz(x: float, y: float) -> NDArray[np.float64]:
        return np.array([x / y, 1.0, (1 - x - y) / y])

    columns = np.stack([xyz(*primary) for primary in primaries], axis=1)
    columns = columns * np.linalg.solve(columns, xyz(*D65))
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    adapted = np.linalg.inv(cone) @ np.diag(cone @ D50 / (cone @ xyz(*D65))) @ cone @ columns
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": text, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": tag_of(D50)}
    tags |= {name: tag_of(adapted[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return assembled(b"RGB ", tags)


def tag_of(xyz: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in xyz))


def assembled(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    start, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02100000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + tag_of(D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


PROFILES = {
    "Display P3": profile(DISPLAY_P3, SRGB_CURVE),
    "Adobe RGB": profile(ADOBE_RGB, ADOBE_CURVE),
    "a table": profile(ADOBE_RGB, TABLE_CURVE),
}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def conversion(data: bytes) -> Conversion:
    found = conversion_of(data)
    assert found is not None
    return found


def table_profile(nodes: int = 17, space: bytes = b"RGB ", extra: dict[bytes, bytes] | None = None) -> bytes:
    """A profile of a lookup table, as of a scanner: a gamma of 1.8 and primaries wider than those of sRGB."""
    channels = 3 if space == b"RGB " else 1
    grid = np.array(list(product(np.linspace(0, 1, nodes), repeat=channels))) ** 1.8
    matrix = np.array([[0.55, 0.28, 0.1342], [0.26, 0.69, 0.05], [0.01, 0.06, 0.7549]])  # rows add up to D50
    light = (grid @ matrix.T if channels == 3 else grid * D50) / D50
    root = np.where(light > 216 / 24389, np.cbrt(light), (24389 / 27 * light + 16) / 116)
    lab = np.stack(
        [116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], 1
    )
    stored = ((lab * [2.55, 1, 1] + [0, 128, 128]) * 256).clip(0, 65535).round().astype(">u2")
    unit = struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    line = np.array([0, 65535], ">u2").tobytes()
    table = b"mft2" + bytes(4) + bytes([channels, 3, nodes, 0]) + unit + struct.pack(">2H", 2, 2)
    table += line * channels + stored.tobytes() + line * 3
    tags = {b"A2B0": table, b"wtpt": tag_of(D50), b"cprt": b"text" + bytes(4) + b"none\0\0\0\0"}
    made = assembled(space, tags | (extra or {}))
    return made[:20] + b"Lab " + made[24:]


def by_littlecms(levels: NDArray[np.uint8], profile: bytes) -> NDArray[np.int64]:
    """What Pillow's binding of LittleCMS makes of (H, W, 3) or (H, W), in sRGB."""
    source, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    mode = "L" if levels.ndim == 2 else "RGB"
    exact = ImageCms.Flags.NOOPTIMIZE  # otherwise it interpolates in a coarser table of its own
    transform = ImageCms.buildTransform(source, srgb, mode, "RGB", flags=exact)
    found = transform.apply(Image.fromarray(levels))
    return np.array(found).astype(np.int64)


def colors(*values: tuple[float, ...]) -> torch.Tensor:
    """(1, 3, 1, n)."""
    return torch.tensor(values).T[None, :, None].float()


@pytest.mark.parametrize("name", PROFILES)
def test_colors_within_srgb_become_what_littlecms_makes_of_them(name: str) -> None:
    levels = np.random.default_rng(0).integers(60, 200, (1, 500, 3), np.uint8)
    ours = conversion(PROFILES[name]).to_srgb(torch.from_numpy(levels / 255).permute(2, 0, 1)[None].float())
    inside = ((ours > 0.02) & (ours < 0.98)).all(1)[0].numpy()
    source = ImageCms.ImageCmsProfile(BytesIO(PROFILES[name]))
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    theirs = ImageCms.profileToProfile(
        Image.fromarray(levels), source, ImageCms.createProfile("sRGB"), intent, "RGB"
    )
    difference = ours[0].permute(1, 2, 0).numpy() * 255 - np.array(theirs)
    assert inside.mean() > 0.5
    assert np.abs(difference[inside]).max() < 1.1  # theirs is rounded, and computed with 8 to 16 bits


@pytest.mark.parametrize("name", PROFILES)
def test_every_color_without_detail_is_itself(name: str) -> None:
    known = conversion(PROFILES[name])
    steps = torch.linspace(0, 1, 18)
    grid = torch.cartesian_prod(steps, steps, steps).T[None, :, None].contiguous()
    assert known.to_srgb(grid).min() < -0.1
    assert torch.equal(known.with_detail(grid, torch.zeros_like(grid)), grid)
    assert not known.is_identity


def test_a_table_profile_converts_as_in_littlecms_at_8_bits() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    wanted = by_littlecms(levels, table_profile())
    assert np.abs(wanted - levels).max() > 40
    found = conversion(table_profile()).to_srgb(torch.from_numpy(levels / 255).permute(2, 0, 1)[None].float())
    assert found.min() < -0.05  # Pillow clips colors beyond sRGB
    assert np.abs(found.clamp(0, 1)[0].permute(1, 2, 0).numpy() * 255 - wanted).max() < 2


def test_a_gray_table_profile_converts_each_channel_to_gray() -> None:
    data, levels = table_profile(space=b"GRAY"), np.arange(256, dtype=np.uint8).reshape(16, 16)
    wanted = by_littlecms(levels, data)
    assert np.abs(wanted[..., 1] - levels).max() > 10
    planes = torch.from_numpy(levels / 255).float().expand(2, 3, 16, 16)
    found = conversion(data).to_srgb(planes)
    assert found.shape == planes.shape
    assert torch.equal(found[:, :1].expand_as(found), found)
    assert np.abs(found[1].permute(1, 2, 0).numpy() * 255 - wanted).max() < 2


def test_tables_take_precedence_over_a_matrix_in_the_same_profile() -> None:
    red, *_ = (tag_of(np.array(xyz)) for xyz in [(0.4361, 0.2225, 0.0139)])
    extra = dict.fromkeys((b"rXYZ", b"gXYZ", b"bXYZ"), red) | dict.fromkeys(
        (b"rTRC", b"gTRC", b"bTRC"), ADOBE_CURVE
    )
    color = torch.rand(1, 3, 4, 4)
    both, alone = conversion(table_profile(extra=extra)), conversion(table_profile())
    assert torch.equal(both.to_srgb(color), alone.to_srgb(color))


def test_detail_moves_colors_of_a_table_profile_by_as_much_in_srgb() -> None:
    known = conversion(table_profile())
    color = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    assert torch.equal(known.with_detail(color, torch.zeros_like(color)), color)
    detail = torch.tensor([0.01, -0.02, 0.015]).view(1, 3, 1, 1).expand_as(color)
    changed = known.to_srgb(known.with_detail(color, detail)) - known.to_srgb(color)
    inside = (known.to_srgb(color) > 0.05).all(1, keepdim=True).expand_as(color)
    assert inside.float().mean() > 0.5
    off = (changed - detail)[inside].abs()
    assert off.quantile(0.98) < 3e-3  # more only where the slope changes: at the nodes of the table


def test_detail_is_added_where_a_bicubic_enlargement_overshoots() -> None:
    known, bright = conversion(table_profile()), torch.full((1, 3, 1, 1), 1.05)
    assert known.with_detail(bright, torch.full_like(bright, -0.1)).max() < 1


def test_detail_of_a_table_profile_is_never_magnified_by_much() -> None:
    known = conversion(table_profile())
    steps = torch.linspace(0, 1, 9)
    grid = torch.cartesian_prod(steps, steps, steps).T[None, :, None].contiguous()
    change = known.with_detail(grid, torch.full_like(grid, 0.01)) - grid
    assert change.norm(dim=1).max() <= 5.01 * 0.01 * 3**0.5


@pytest.mark.parametrize("name", PROFILES)
def test_detail_of_grays_is_that_of_srgb(name: str) -> None:
    known = conversion(PROFILES[name])
    gray = torch.linspace(0.1, 0.8, 15).expand(1, 3, 1, 15)
    detail = torch.tensor([0.01, -0.02, 0.015]).view(1, 3, 1, 1).expand(1, 3, 1, 15)
    changed = known.to_srgb(known.with_detail(gray, detail))
    torch.testing.assert_close(changed - known.to_srgb(gray), detail, rtol=0.1, atol=2e-3)


def test_reds_of_display_p3_are_the_published_ones_in_srgb() -> None:
    red = conversion(PROFILES["Display P3"]).to_srgb(colors((1, 0, 0)))[0, :, 0, 0]
    assert red.tolist() == pytest.approx([1.0930, -0.2267, -0.1501], abs=1e-3)  # CSS Color 4


@pytest.mark.parametrize("data", [SRGB, profile([(0.64, 0.33), (0.3, 0.6), (0.15, 0.06)], SRGB_CURVE)])
def test_srgb_by_any_maker_is_known(data: bytes) -> None:
    assert conversion(data).is_identity


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        SRGB[:300],
        assembled(b"RGB ", {b"A2B0": b"mft1"}),
        PROFILES["Adobe RGB"].replace(ADOBE_CURVE, b"curv" + bytes(10)),
        profile(ADOBE_RGB, b"curv" + bytes(4) + struct.pack(">I3H", 3, 0, 60000, 5)),
        profile(ADOBE_RGB, b"para" + bytes(4) + struct.pack(">HH", 9, 0)),
    ],
)
def test_what_is_no_sound_matrix_profile_is_no_conversion(data: bytes) -> None:
    found = conversion_of(data)
    color = colors((0.2, 0.5, 0.9))
    assert found is None or bool(found.with_detail(color, found.to_srgb(color)).isfinite().all())


# Through the model ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def enhancenet() -> Restorer:
    return restore.load("enhancenet:e", device="cpu", precision="fp32")


def patches(side: int = 56) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """27 flat colors, and the picture in which each is a square larger than the model's receptive field."""
    flat = np.array(list(product((0.2, 0.5, 0.8), repeat=3)))
    flat = (flat * 65535).astype(np.uint16)
    return flat, np.kron(flat.reshape(3, 9, 3), np.ones((side, side, 1), np.uint16))


@pytest.mark.parametrize(("name", "suffix"), [("Display P3", ".png"), ("Adobe RGB", ".tif")])
def test_flat_patches_shift_by_less_than_a_level(
    tmp_path: Path, enhancenet: Restorer, name: str, suffix: str
) -> None:
    flat, picture = patches()
    image = torch.from_numpy(picture.astype(np.float32) / 65535).permute(2, 0, 1)[None]
    write(Photo(image, bits=16, icc_profile=PROFILES[name]), tmp_path / f"a{suffix}")
    enlarged = enhancenet.upscale(read(tmp_path / f"a{suffix}"))
    write(enlarged, tmp_path / f"b{suffix}")
    back = read(tmp_path / f"b{suffix}")
    assert (back.icc_profile, back.bits) == (PROFILES[name], 16)
    middle = back.color[0, :, 112::224, 112::224].permute(1, 2, 0).reshape(27, 3).numpy()
    shift = np.abs(middle - flat / 65535) * 255
    print(f"{name} {suffix}: flat patches shift by at most {shift.max():.3f} levels")  # noqa: T201
    assert shift.max() < 1


@pytest.mark.parametrize("data", [PROFILES["Display P3"], table_profile()], ids=["matrix", "table"])
def test_colors_of_a_profile_are_seen_as_srgb(data: bytes) -> None:
    seen: list[torch.Tensor] = []

    def network(tile: torch.Tensor) -> torch.Tensor:
        seen.append(tile)
        return tile

    restorer = Restorer(restore.load("bicubic", scale=1, device="cpu").model, device="cpu")
    restorer._network = network
    color = colors((0.2, 0.5, 0.9), (1.0, 0.0, 0.0)).expand(1, 3, 3, 2).contiguous()
    result = restorer.upscale(Photo(color, bits=16, icc_profile=data))
    expected = conversion(data).to_srgb(color).clamp(0, 1)
    assert (expected - color).abs().max() > 0.05
    torch.testing.assert_close(seen[0], expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(result.color, color, rtol=0, atol=2e-5)
    assert (result.icc_profile, result.notes) == (data, ())


def test_a_damaged_profile_is_kept_and_said_to_be_unknown() -> None:
    photo = Photo(torch.rand(1, 3, 4, 4), icc_profile=assembled(b"RGB ", {b"A2B0": b"mft1" + bytes(40)}))
    enlarged = restore.load("bicubic", scale=2, device="cpu").upscale(photo)
    assert enlarged.icc_profile == photo.icc_profile
    assert "took its colors for sRGB" in enlarged.notes[0]


@pytest.mark.parametrize("name", ["Display P3", "Adobe RGB"])
def test_where_a_format_has_no_profile_colors_become_srgb(tmp_path: Path, name: str) -> None:
    levels = torch.full((1, 3, 8, 8), 150, dtype=torch.uint8)
    levels[:, 0] = 190
    write(Photo(levels, icc_profile=PROFILES[name]), tmp_path / "a.bmp")
    expected = conversion(PROFILES[name]).to_srgb(levels / 255)
    assert (read(tmp_path / "a.bmp").color - expected).abs().max() < 0.51 / 255


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".jxl"])
def test_colors_of_a_profile_of_tables_become_srgb_where_a_format_has_no_profile(
    tmp_path: Path, suffix: str
) -> None:
    x = np.linspace(0, 255, 16).astype(np.uint8)
    picture = np.dstack([np.tile(x, (16, 1)), np.tile(x, (16, 1)).T, 255 - np.tile(x, (16, 1))])
    source, srgb = ImageCms.ImageCmsProfile(BytesIO(table_profile())), ImageCms.createProfile("sRGB")
    changed = ImageCms.profileToProfile(Image.fromarray(picture), source, srgb)
    assert changed is not None
    wanted = np.array(changed).astype(int)
    assert np.abs(wanted - picture).max() > 50
    assert np.abs(wanted - by_littlecms(picture, table_profile())).max() > 5  # at 8 bits it is less exact
    levels = torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()
    photo = Photo(levels, icc_profile=table_profile(), lossless=True)
    assert losses(photo, Path(f"a{suffix}"))[0].endswith(
        "cannot store a color profile: its colors became sRGB"
    )
    write(photo, tmp_path / f"a{suffix}")
    got = read(tmp_path / f"a{suffix}").color[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(got - wanted).max() <= (16 if suffix == ".gif" else 2)  # a palette of 255 colors


def test_a_damaged_profile_is_said_to_be_lost_and_srgb_is_not_missed() -> None:
    damaged = Photo(torch.rand(1, 3, 4, 4), icc_profile=assembled(b"RGB ", {b"A2B0": b"mft1"}))
    assert "its profile is damaged" in losses(damaged, Path("a.bmp"))[0]
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert losses(Photo(torch.rand(1, 3, 4, 4), icc_profile=srgb), Path("a.bmp")) == ()


# Gamma and chromaticities of PNG ----------------------------------------------------------------------


def png_saying(chunks: dict[bytes, bytes], mode: str, path: Path) -> Path:
    image = Image.new(mode, (4, 3), 150 if mode == "L" else (200, 100, 50))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    import zlib

    words = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks.items()
    )
    path.write_bytes(data[:33] + words + data[33:])
    return path


ADOBE_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
SRGB_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def test_gamma_and_chromaticities_mean_what_the_profile_would(tmp_path: Path) -> None:
    chunks = {b"gAMA": struct.pack(">I", 45471), b"cHRM": ADOBE_CHRM}  # 1 / 2.1992
    photo = read(png_saying(chunks, "RGB", tmp_path / "a.png"))
    assert photo.icc_profile is None or conversion(photo.icc_profile)
    grid = torch.rand(1, 3, 5, 5)
    assert photo.icc_profile is not None
    ours, real = conversion(photo.icc_profile).to_srgb(grid), conversion(PROFILES["Adobe RGB"]).to_srgb(grid)
    assert (ours - real).abs().max() < 2e-3
    write(photo, tmp_path / "b.tif")
    assert read(tmp_path / "b.tif").icc_profile == photo.icc_profile


@pytest.mark.parametrize("gamma", [1.0, 1.8])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_gamma_alone_is_honored(tmp_path: Path, gamma: float, mode: str) -> None:
    path = png_saying({b"gAMA": struct.pack(">I", round(100000 / gamma))}, mode, tmp_path / "a.png")
    photo = read(path)
    assert photo.icc_profile is not None
    gray = conversion(photo.icc_profile).to_srgb(colors((0.5, 0.5, 0.5)))[0, :, 0, 0]
    linear = 0.5**gamma
    assert gray.tolist() == pytest.approx([1.055 * linear ** (1 / 2.4) - 0.055] * 3, abs=1e-3)
    ImageCms.ImageCmsProfile(BytesIO(photo.icc_profile))  # others read it


@pytest.mark.parametrize(
    "chunks",
    [
        {b"gAMA": struct.pack(">I", 45455)},
        {b"gAMA": struct.pack(">I", 45455), b"cHRM": SRGB_CHRM},
        {b"sRGB": b"\0", b"gAMA": struct.pack(">I", 100000)},
        {b"gAMA": bytes(4)},
        {b"cHRM": bytes(32)},
        {b"cHRM": struct.pack(">8I", *[20000, 20000] * 4)},
    ],
)
def test_words_for_srgb_and_nonsense_make_no_profile(tmp_path: Path, chunks: dict[bytes, bytes]) -> None:
    assert read(png_saying(chunks, "RGB", tmp_path / "a.png")).icc_profile is None


def test_an_embedded_profile_goes_before_gamma(tmp_path: Path) -> None:
    import zlib

    chunks = {
        b"iCCP": b"x\0\0" + zlib.compress(PROFILES["Display P3"]),
        b"gAMA": struct.pack(">I", 100000),
    }
    assert read(png_saying(chunks, "RGB", tmp_path / "a.png")).icc_profile == PROFILES["Display P3"]


@pytest.mark.parametrize(
    "data", [matrix_profile(2.2, (0.3127, 0.329, *np.ravel(ADOBE_RGB))), gray_profile(1.8)]
)
def test_profiles_that_are_made_are_read_by_littlecms(data: bytes) -> None:
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(data)))


# Transparency -----------------------------------------------------------------------------------------


def disc(side: int = 40) -> Image.Image:
    """Red within a circle with a soft rim, and fully transparent green around."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    alpha = (np.clip(side / 3 - np.hypot(x, y), 0, 1) * 255).astype(np.uint8)
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 3] = 255 * (alpha > 0), 255 * (alpha == 0), alpha
    return Image.fromarray(pixels)


@pytest.mark.parametrize("model", ["bicubic", "enhancenet:e"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_transparent_green_does_not_bleed_into_a_red_disc(tmp_path: Path, model: str, suffix: str) -> None:
    disc().save(tmp_path / "a.png")
    enlarged = restore.load(model, scale=4, device="cpu", precision="fp32").upscale(read(tmp_path / "a.png"))
    write(enlarged, tmp_path / f"b{suffix}")
    pixels: NDArray[Any] = np.array(Image.open(tmp_path / f"b{suffix}").convert("RGBA")).astype(int)
    visible = pixels[..., 3] > 0
    assert visible.any()
    assert not visible.all()
    seen_green = (pixels[..., 1] * pixels[..., 3] / 255)[visible]
    assert seen_green.max() < (3 if suffix != ".webp" else 12)  # WebP is lossy
    assert (pixels[..., 0][pixels[..., 3] > 16]).min() > 245


def test_alpha_is_enlarged_by_the_model_if_asked_for() -> None:
    photo = from_pil(disc())
    planes = {}
    for way in get_args(Alpha):
        restorer = restore.load("enhancenet:e", device="cpu", precision="fp32", alpha=way)
        plane = restorer.upscale(photo).alpha
        assert plane is not None
        planes[way] = plane.float() / 255
    assert photo.alpha is not None
    expected = restorer.restore(to_values(photo.alpha).expand(1, 3, -1, -1)).mean(1, keepdim=True)
    # Not to rounding: three channels are clamped here before their mean, and there after it.
    assert (planes["model"] - expected).abs().max() < 2 / 255
    assert (planes["bicubic"] - expected).abs().max() > 5 / 255


def test_visible_colors_stay_as_they_are_and_hidden_ones_come_from_around() -> None:
    color, alpha = torch.rand(1, 3, 13, 9), torch.zeros(1, 1, 13, 9)
    alpha[..., 3:6, 2:4] = torch.rand(3, 2) * 0.9 + 0.1
    filled = without_bleeding(color, alpha)
    seen = (alpha > 0).expand_as(color)
    assert torch.equal(filled[seen], color[seen])
    low, high = color[seen].min(), color[seen].max()
    assert ((filled >= low - 1e-6) & (filled <= high + 1e-6)).all()


@pytest.mark.parametrize("alpha", [0.0, 1.0, None])
def test_nothing_is_filled_where_nothing_or_everything_is_visible(alpha: float | None) -> None:
    color = torch.rand(1, 3, 5, 7)
    plane = None if alpha is None else torch.full((1, 1, 5, 7), alpha)
    assert without_bleeding(color, plane) is color


# Code points -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "wanted"), [((12, 13), (1.0930, -0.2267, -0.1501)), ((9, 13), (1.2482, -0.3879, -0.1435))]
)
def test_code_points_mean_what_a_profile_would(
    tmp_path: Path, points: tuple[int, int], wanted: tuple[float, float, float]
) -> None:
    data = read(with_chunk(tmp_path / "a.png", b"cICP", bytes([*points, 0, 1]))).icc_profile
    assert data is not None
    red = conversion(data).to_srgb(colors((1, 0, 0)))[0, :, 0, 0]
    assert red.tolist() == pytest.approx(wanted, abs=2e-3)  # CSS Color 4


def test_code_points_of_srgb_make_no_profile_and_those_of_hdr_a_note(tmp_path: Path) -> None:
    for points in ((1, 13), (1, 1), (2, 2), (0, 77)):
        photo = read(with_chunk(tmp_path / "a.png", b"cICP", bytes([*points, 0, 1])))
        assert (photo.icc_profile, photo.notes) == (None, ())
    for transfer, name in ((16, "PQ"), (18, "HLG")):
        photo = read(with_chunk(tmp_path / "a.png", b"cICP", bytes([9, transfer, 0, 1])))
        assert photo.notes == (f"its high dynamic range ({name}) is not converted: colors look pale",)


def test_code_points_of_avif_count_where_it_has_no_profile(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / "a.avif")
    data = (tmp_path / "a.avif").read_bytes()
    place = data.index(b"colrnclx") + 8
    assert read(tmp_path / "a.avif").icc_profile is None
    (tmp_path / "b.avif").write_bytes(data[:place] + struct.pack(">2H", 12, 13) + data[place + 4 :])
    assert (
        read(tmp_path / "b.avif").icc_profile
        == read(with_chunk(tmp_path / "a.png", b"cICP", bytes([12, 13, 0, 1]))).icc_profile
    )
