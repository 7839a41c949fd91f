"""The loop: what it learns, what it writes, and that a run which goes on equals one that never stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from training_runs import Configure, Draw, Line, after_step, interrupt, log

from restore.checkpoint import read_card
from restore.config import resolve
from restore.errors import UsageError
from restore.registry import Registry
from restore.training import Monitor, TrainingResult, train
from restore.training.setup import set_up


def test_a_run_leaves_weights_a_resolved_configuration_checkpoints_and_a_log(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    config, run, lines = configure(val=[tmp_path / "photos"]), tmp_path / "run", list[Line]()
    outcome = train(config, toys, run, monitor=Monitor(log=lines.append))
    assert outcome == TrainingResult(run, 6, interrupted=False, metrics=outcome.metrics)
    names = sorted(path.name for path in run.iterdir())
    assert names.pop(2).startswith("events.out.tfevents.")
    assert names == [
        "checkpoints",
        "config.toml",
        "generator.safetensors",
        "inputs.png",
        "log.jsonl",
        "samples",
    ]
    assert [path.name for path in (run / "samples").iterdir()] == ["00000006.png"]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["00000004", "00000006"]
    assert resolve(run / "config.toml", [], {}) == config
    card = read_card(run / "generator.safetensors")
    assert (card.model, card.scale, card.objective, card.steps) == ("enhancenet", 4, "l1", 6)
    assert card.metrics == outcome.metrics
    assert card.metrics == {f"{tmp_path.name}/photos psnr": pytest.approx(20, abs=10)}
    assert log(run) == lines
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6, 6]
    assert set(lines[0]) == {
        "step", "steps", "lr", "l1", "loss", "grad_norm", "color_shift", "skipped", "images_per_second",
        "eta",
    }  # fmt: skip
    assert lines[-1] == {"step": 6, "validation": outcome.metrics}


def test_what_is_learnt_lowers_the_loss_on_what_was_learnt_from(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw
) -> None:
    draw(tmp_path / "one" / "a.png", 32, 32)
    config = configure(data=[tmp_path / "one"], augmentations=[], steps=40, log_every=10, lr=1e-2)
    train(config, toys, tmp_path / "run")
    losses = [line["l1"] for line in log(tmp_path / "run")]
    assert losses[-1] < 0.9 * losses[0]


def test_images_smaller_than_the_patch_are_counted_and_named(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    said = list[str]()
    train(configure(steps=1), toys, tmp_path / "run", monitor=Monitor(message=said.append))
    assert "skipped 1 images smaller than the patch: tiny.png" in said


def test_images_that_were_cut_off_are_named(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path, draw: Draw
) -> None:
    content = draw(photos / "cut.jpg", 256, 256).read_bytes()
    (photos / "cut.jpg").write_bytes(content[: len(content) // 2] + b"\xff\xd9")
    draw(photos / "whole.jpg", 64, 64)
    said = list[str]()
    train(configure(steps=1), toys, tmp_path / "run", monitor=Monitor(message=said.append))
    assert [sentence for sentence in said if "cut off" in sentence] == [
        "training on 1 images that were cut off, with parts missing: cut.jpg; replace them by whole copies, "
        "or remove them"
    ]


def test_weights_of_unknown_origin_in_a_loss_are_reported_and_kept_in_the_card(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    said = list[str]()
    config = configure(loss="perceptual", terms={"perceptual": {"layers": "pool1:0.2"}}, steps=1)
    train(config, toys, tmp_path / "run", monitor=Monitor(message=said.append))
    (note,) = read_card(tmp_path / "run" / "generator.safetensors").notes
    assert note.startswith("VGG-19 weights other than torchvision's [SHA-256 ")
    assert any(sentence.startswith(f"warning: {note}") for sentence in said)


def test_gray_and_color_images_are_validated(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw
) -> None:
    gray, color = tmp_path / "gray" / "val", tmp_path / "color" / "val"
    draw(color / "a.png", 30, 22)
    draw(gray / "a.png", 30, 22)
    Image.open(gray / "a.png").convert("L").save(gray / "a.png")
    outcome = train(configure(steps=1, val=[gray, color]), toys, tmp_path / "run")
    assert set(outcome.metrics) == {"gray/val psnr", "color/val psnr"}
    assert all(np.isfinite(list(outcome.metrics.values())))


def test_two_validation_folders_of_one_name_are_refused(
    toys: Registry, configure: Configure, photos: Path
) -> None:
    with pytest.raises(UsageError, match="2 folders in `val` have the name"):
        set_up(configure(val=[photos, photos]), toys)


def test_the_log_holds_means_over_the_steps_between_two_lines(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(), toys, tmp_path / "each")
    train(configure(log_every=4), toys, tmp_path / "some")
    each = [line["l1"] for line in log(tmp_path / "each")]
    some = log(tmp_path / "some")
    assert [line["step"] for line in some] == [4, 6]
    assert some[0]["l1"] == pytest.approx(np.mean(each[:4]), rel=1e-6)
    assert some[1]["l1"] == pytest.approx(np.mean(each[4:]), rel=1e-6)
    assert [line["lr"] for line in log(tmp_path / "each")][:3] == [0.0005, 0.001, 0.001]


def test_a_run_can_begin_with_the_weights_of_another_and_needs_them_only_then(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(), toys, tmp_path / "first")
    init = f"enhancenet:{tmp_path}/first/generator.safetensors"
    config = configure(init=init, model_options={}, lr=1e-12)
    train(config, toys, tmp_path / "second", monitor=after_step(2, interrupt))
    (tmp_path / "first" / "generator.safetensors").rename(tmp_path / "first.safetensors")
    resumed = resolve(tmp_path / "second" / "config.toml", [], {})
    assert resumed.model_options == {"width": 8, "blocks": 1}
    train(resumed, toys, tmp_path / "second", resume=True)
    before, after = (
        load_file(file)
        for file in (tmp_path / "first.safetensors", tmp_path / "second" / "generator.safetensors")
    )
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    with pytest.raises(UsageError, match=r"has the options .*blocks=1.*, not .*blocks=2"):
        set_up(
            configure(
                init=f"enhancenet:{tmp_path}/second/generator.safetensors", model_options={"blocks": 2}
            ),
            toys,
        )
