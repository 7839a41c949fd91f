"""Runs that cannot start or go on say why, and leave nothing behind."""

from __future__ import annotations

import copyreg
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tblib import pickling_support
from training_runs import Configure, Damage, Draw, Line, after_step, interrupt, log, weights

from restore.checkpoint import latest_checkpoint
from restore.config import resolve
from restore.errors import DataError, ImageError, OptionsError, RestoreError, TrainingError, UsageError
from restore.registry import Registry
from restore.training import Monitor, train
from restore.training.interruption import Interruption


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"model": "bicubic", "model_options": {}}, UsageError, "model 'bicubic' has no parameters to train"),
        (
            {"model": "enhancenet:e"},
            UsageError,
            "to start from them, use `model=enhancenet` `init=enhancenet:e`",
        ),
        ({"model": "enhancnet"}, UsageError, "no model 'enhancnet'. Did you mean 'enhancenet'?"),
        ({"loss": "l1-toi"}, UsageError, "no objective or loss 'l1-toi'. Did you mean 'l1-toy'?"),
        ({"loss": "l1-toy", "adversary": {"depth": 1}}, OptionsError, "'toy' has no option 'depth'"),
        ({"terms": {"l1": {"lumma": True}}}, OptionsError, "has no option 'lumma'. Did you mean 'luma'?"),
        ({"terms": {"l1": {"luma": 2}}}, OptionsError, "option 'luma' of loss 'l1'"),
        ({"model_options": {"widht": 8}}, OptionsError, "has no option 'widht'. Did you mean 'width'?"),
        ({"model_options": {"width": 0}}, OptionsError, "option 'width' of model 'enhancenet'"),
        ({"degradation": "bicubik"}, UsageError, "no degradation 'bicubik'. Did you mean 'bicubic'?"),
        ({"degradation_options": {"relase": "older"}}, OptionsError, "Did you mean 'release'?"),
        (
            {"scale": 5},
            UsageError,
            "cannot work at scale 5: it can be trained for the scales 2, 3, 4, 8, and has weights for",
        ),
        (
            {"patch_size": 30},
            UsageError,
            "`patch_size=30` is not a multiple of the scale 4; use `patch_size=28`",
        ),
        (
            {"patch_size": 3},
            UsageError,
            "`patch_size=3` is not a multiple of the scale 4; use `patch_size=4`",
        ),
        ({"patch_size": 128}, DataError, "none of the 4 images has 128 pixels on both sides"),
        ({"data": [Path("nowhere")]}, DataError, "nowhere: there is no such folder"),
        ({"val": [Path("nowhere")]}, DataError, "nowhere: there is no such folder"),
        (
            {"devices": 4},
            UsageError,
            "`batch_size=2` cannot be divided evenly among 4 devices; use `batch_size=4`",
        ),
        (
            {"batch_size": 7, "accumulate": 3},
            UsageError,
            "evenly among 1 devices in 3 parts; use `batch_size=6`",
        ),
        (
            {"init": "enhancenet:nowhere.safetensors"},
            RestoreError,
            "nowhere.safetensors: there is no such weights file",
        ),
        (
            {"init_partial": True},
            UsageError,
            "`init_partial` takes over a part of the weights of `init`, which",
        ),
        (
            {"loss": "l1-toy", "adversary": {"discriminator": "flat"}},
            UsageError,
            "discriminator 'flat' gives a tensor (2,) for two images, not logits of the shape (2, 1) or",
        ),
        (
            {"loss": "l1-toy", "adversary": {"discriminator": "unsuited"}},
            UsageError,
            "discriminator 'unsuited' fails on targets of 32x32 pixels (RuntimeError: ",
        ),
        (
            {"loss": "l1-toy", "adversary": {"loss": "unreduced"}},
            UsageError,
            "the adversarial loss 'unreduced' gives a tensor (2, 1), not one scalar",
        ),
        (
            {"augmentations": ["cropped"]},
            UsageError,
            "the augmentations turn patches of [(3, 8, 8), (3, 32, 32)] into [(3, 7, 8), (3, 32, 32)]",
        ),
        ({"loss": "map"}, UsageError, "the loss 'map' gives a tensor (1, 3, 32, 32), not one scalar"),
        ({"loss": "deaf"}, UsageError, "the loss 'deaf' fails on patches of 32 pixels (TypeError: "),
        ({"schedule": "rising"}, UsageError, "schedule 'rising' gives 1.5 as the share of the peak rate at"),
        (
            {"model": "shrunk", "model_options": {}},
            UsageError,
            "model 'shrunk' gives a tensor (1, 3, 8, 8) for a tensor (1, 3, 8, 8), whose target is a tensor",
        ),
    ],
)
def test_a_run_that_cannot_begin_says_why_and_leaves_no_folder(
    toys: Registry,
    configure: Configure,
    tmp_path: Path,
    changes: dict[str, Any],
    kind: type[RestoreError],
    sentence: str,
) -> None:
    with pytest.raises(kind) as caught:
        train(configure(**changes), toys, tmp_path / "runs" / "mine")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_in_use_is_refused_and_left_as_it_is(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    before = sorted(photos.iterdir())
    with pytest.raises(
        UsageError, match=r"photos: the folder is not empty; pass `resume=True` or another `run`"
    ):
        train(configure(), toys, photos)
    with pytest.raises(UsageError, match=r"a\.png: this is a file"):
        train(configure(), toys, photos / "a.png")
    assert sorted(photos.iterdir()) == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 10**9}, "the images of `batch_size=1000000000`"),
        ({"cache_gib": 1e300}, "`cache_gib=1e+300` would take at least more than 1e12 GiB of memory"),
        ({"workers": 10**6}, "with `workers=1000000` each would take at least"),
        ({"devices": 10**6, "batch_size": 10**6}, "`devices=1000000` with"),
        ({"model_options": {"width": 10**6}}, "'enhancenet' with these options has more than"),
        ({"model_options": {"width": 512, "blocks": 10**7}}, "'enhancenet' with these options has more than"),
        ({"loss": "pat", "adversary": {"width": 10**5}}, "'enhancenet' with these options has more than"),
    ],
)
def test_a_run_that_cannot_fit_the_memory_is_refused_before_it_starts(
    toys: Registry,
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    sentence: str,
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2**20, "SC_PAGE_SIZE": 2**12}.__getitem__)
    with pytest.raises(UsageError) as caught:
        train(configure(**changes), toys, tmp_path / "run")
    assert sentence in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_a_step_keeps_for_its_backward_pass_counts_too(
    toys: Registry, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2**17, "SC_PAGE_SIZE": 2**12}.__getitem__)
    with pytest.raises(UsageError, match="a step with `batch_size=16384` would take at least"):
        train(configure(batch_size=16384), toys, tmp_path / "run")
    train(configure(steps=1), toys, tmp_path / "run")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), id="CUDA"),
        pytest.param(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), id="CPU"),
    ],
)
def test_a_step_for_which_the_memory_does_not_suffice_ends_the_run_with_what_to_change(
    toys: Registry, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("restore.training.loop.train_step", fail)
    with pytest.raises(TrainingError) as caught:
        train(configure(), toys, tmp_path / "run")
    assert str(caught.value) == (
        "there is not enough memory for a step with `batch_size=2`; start a new run with a smaller "
        "`batch_size` or `patch_size`, or with `accumulate`, from the weights of this one by `init`"
    )
    assert (tmp_path / "run" / "generator.safetensors").exists()


def test_a_validation_image_smaller_than_the_scale_is_refused_before_the_first_step(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw
) -> None:
    draw(tmp_path / "val" / "speck.png", 3, 30)
    with pytest.raises(DataError, match=r"speck\.png: a short side of 3 pixels is too small for validation"):
        train(configure(val=[tmp_path / "val"]), toys, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("width", "height"), [(64, 400), (190, 190)])
def test_a_metric_that_cannot_measure_a_validation_image_is_refused_before_the_first_step(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw, width: int, height: int
) -> None:
    draw(tmp_path / "val" / "large.png", 100, 380)
    draw(tmp_path / "val" / "small.png", width, height)
    with pytest.raises(
        DataError, match=r"small\.png: the metric 'niqe' cannot measure it \(ValueError: .*96x96"
    ):
        train(configure(val=[tmp_path / "val"], metric=["psnr", "niqe"]), toys, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_feature_network_without_a_layer_is_refused_before_the_folder_is_made(
    toys: Registry, configure: Configure, tmp_path: Path, random_vgg19: Callable[..., Path]
) -> None:
    file = random_vgg19(tmp_path / "short.safetensors", "conv1_2")
    with pytest.raises(RestoreError, match=r"short\.safetensors: the VGG-19 weights lack conv2_1"):
        train(configure(loss="perceptual", terms={"perceptual": {"vgg": str(file)}}), toys, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_second_process_is_refused_and_told_which_one_is_training(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    run, refused = tmp_path / "run", list[str]()

    def second() -> None:
        with pytest.raises(UsageError) as caught:
            train(configure(), toys, run, resume=True)
        refused.append(str(caught.value))

    train(configure(), toys, run, monitor=after_step(3, second))
    assert [f"process {os.getpid()} on " in sentence for sentence in refused] == [True]
    assert [line["step"] for line in log(run)] == [1, 2, 3, 4, 5, 6]
    assert not list(tmp_path.glob(".restore-*"))


def test_resuming_removes_the_unfinished_files_of_a_kill(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    train(configure(), toys, tmp_path / "run")
    other = tmp_path / ".restore-other-abcdefgh"
    for folder in (
        tmp_path / ".restore-run-abcdefgh",
        tmp_path / "run" / "checkpoints" / ".restore-x",
        other,
    ):
        folder.mkdir()
        (folder / "state.json").touch()
    (tmp_path / "run" / ".restore-log.jsonl").touch()
    train(configure(), toys, tmp_path / "run", resume=True)
    assert list(tmp_path.rglob(".restore-*")) == [other], "that of another run stays"


def test_the_same_images_in_another_folder_resume(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    train(configure(), toys, tmp_path / "whole")
    train(configure(), toys, tmp_path / "run", monitor=after_step(2, interrupt))
    photos.rename(tmp_path / "moved")
    moved = configure(data=[tmp_path / "moved"])
    train(moved, toys, tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert resolve(tmp_path / "run" / "config.toml", [], {}) == moved


def test_torch_still_has_the_private_setting_that_keeps_compiled_graphs() -> None:
    import torch._functorch.config

    assert isinstance(torch._functorch.config.donated_buffer, bool)


def test_training_without_its_libraries_says_in_one_sentence_what_to_install() -> None:
    program = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'tensorboard' else find(name, *more)\n"
        "from restore.cli import main\n"
        "sys.argv = ['restore', 'train', '--loss', 'e', '--data', '.']; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "error: training needs tensorboard, which this installation lacks; run: pip install"
    )


def test_an_empty_folder_is_filled(toys: Registry, configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    train(configure(steps=1), toys, tmp_path / "run")
    assert (tmp_path / "run" / "config.toml").exists()


def test_an_empty_folder_is_filled_where_nothing_can_be_written_beside_it(
    toys: Registry, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "out"
    run.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    train(configure(steps=1), toys, run)
    assert (run / "config.toml").exists()
    assert not list(tmp_path.rglob(".restore-*"))


def test_a_folder_that_cannot_be_made_is_named(toys: Registry, configure: Configure, photos: Path) -> None:
    with pytest.raises(TrainingError, match=r"a\.png/run: cannot write the run: .*choose another `run`"):
        train(configure(), toys, photos / "a.png" / "run")


@pytest.mark.parametrize("folder", ["data", "val"])
def test_an_image_that_was_cut_short_is_named_before_anything_is_written(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw, folder: str
) -> None:
    file = draw(tmp_path / "other" / "d.png", 40, 40)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"d\.png: it is damaged or cut short"):
        train(configure(**{folder: [tmp_path / "other"]}), toys, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_with_damage_in_its_middle_ends_the_run_with_its_name(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path, damage: Damage, workers: int
) -> None:
    damage(photos / "b.png")
    with pytest.raises(ImageError, match=r"b\.png: it is damaged") as caught:
        train(configure(workers=workers), toys, tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_an_error_that_is_kept_does_not_keep_the_process_that_loaded_the_image(
    toys: Registry,
    configure: Configure,
    tmp_path: Path,
    photos: Path,
    damage: Damage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = copyreg.dispatch_table  # as `import distributed` changes it
    monkeypatch.setitem(table, TracebackType, pickling_support.pickle_traceback)
    monkeypatch.setitem(table, ImageError, pickling_support.pickle_exception)
    damage(photos / "b.png")
    with pytest.raises(ImageError) as kept:
        train(configure(workers=1), toys, tmp_path / "run")
    assert not multiprocessing.active_children(), kept


def test_a_step_whose_validation_fails_is_saved_and_validated_when_the_run_is_resumed(
    toys: Registry, configure: Configure, tmp_path: Path, draw: Draw, damage: Damage
) -> None:
    run, whole, file = tmp_path / "run", tmp_path / "whole", draw(tmp_path / "val" / "a.png", 24, 24)
    config = configure(
        val=[tmp_path / "val"], validate_every=2, checkpoint_every=100, keep=["best:psnr"], steps=4
    )
    content = file.read_bytes()
    train(config, toys, whole)
    with pytest.raises(DataError, match=rf"^{re.escape(str(file))}: it is damaged"):
        train(config, toys, run, monitor=after_step(3, lambda: damage(file)))
    assert latest_checkpoint(run / "checkpoints")[0].step == 4
    file.write_bytes(content)
    train(config, toys, run, resume=True)
    assert [line for line in log(run) if "validation" in line] == [
        line for line in log(whole) if "validation" in line
    ]
    for name in ("generator.safetensors", "generator-best-psnr.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_an_image_that_is_damaged_while_a_run_reads_it_does_not_lose_the_steps_before(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path, damage: Damage
) -> None:
    run, config = tmp_path / "run", configure(steps=1000, checkpoint_every=1000, cache_gib=0, workers=0)
    with pytest.raises(ImageError, match="it is damaged"):
        train(config, toys, run, monitor=after_step(5, lambda: list(map(damage, photos.glob("*.png")))))
    assert latest_checkpoint(run / "checkpoints")[0].step >= 5


def test_a_degradation_that_no_image_gets_is_refused(
    toys: Registry, configure: Configure, tmp_path: Path, photos: Path
) -> None:
    own = {"data": [], "source": [{"data": [photos], "degradation": "bicubic+jpeg"}]}
    for changes, problem in (
        ({"degradation": "nonsense"}, "no degradation 'nonsense'"),
        ({"degradation_options": {"jpeg": {"quality": 5}}}, "has no option 'jpeg'"),
        ({"degradation": "bicubic+noise"}, "no image is degraded by 'bicubic\\+noise'"),
    ):
        with pytest.raises(UsageError, match=problem):
            train(configure(**own, **changes), toys, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_gradient_that_is_not_finite_is_told_and_teaches_nothing(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    run, said, after = tmp_path / "run", list[str](), dict[int, bytes]()

    def see(line: Line) -> None:
        after[line["step"]] = weights(run)

    config = configure(loss="sometimes", steps=4, checkpoint_every=1, ema=0)
    train(config, toys, run, monitor=Monitor(message=said.append, log=see))
    warning = "step 2: the term 'sometimes' of the generator was not finite, so the update was skipped"
    assert any(warning in sentence for sentence in said)
    steps = load_file(run / "checkpoints" / "00000004" / "optimizer-generator.safetensors")["0.step"]
    assert steps == 3, "Adam counts the steps in which something was learned"
    assert all(tensor.isfinite().all() for tensor in load_file(run / "generator.safetensors").values())
    lines = [line for line in log(run) if "steps" in line]
    assert ["loss" in line for line in lines] == [True, False, True, True]
    assert [line["skipped"] for line in lines] == [0, 1, 1, 1]
    assert latest_checkpoint(run / "checkpoints")[0].state["learners"]["generator"]["skipped"] == 1


def test_ten_such_steps_in_a_row_end_the_run_and_name_the_term(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    with pytest.raises(
        TrainingError,
        match="the term 'never' of the generator was not finite in 10 steps in a row, up to step 10",
    ):
        train(configure(loss="never", steps=20), toys, tmp_path / "run")
    tensors = load_file(tmp_path / "run" / "generator.safetensors")
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_discriminator_that_cannot_learn_ends_the_run_too(
    toys: Registry, configure: Configure, tmp_path: Path
) -> None:
    said = list[str]()
    with pytest.raises(TrainingError, match="the gradient of the discriminator was not finite in 10 steps"):
        train(
            configure(loss="l1-broken", steps=20),
            toys,
            tmp_path / "run",
            monitor=Monitor(message=said.append),
        )
    warning = "step 1: the gradient of the discriminator was not finite, so the update was skipped"
    assert any(warning in sentence for sentence in said)
    state = latest_checkpoint(tmp_path / "run" / "checkpoints")[0].state["learners"]
    assert (state["generator"]["skipped"], state["discriminator"]["skipped"]) == (0, 8)


def test_a_second_signal_interrupts_at_once_and_the_block_leaves_the_handlers_as_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        interrupt()
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_works_outside_the_main_thread(toys: Registry, configure: Configure, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, configure(steps=1), toys, tmp_path / "run").result().step == 1
