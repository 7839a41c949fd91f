"""The configuration of a run: where values come from, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from restore.config import TrainingConfig, assignments, read_toml, resolve, resolve_again, write_toml
from restore.errors import OptionsError, UsageError

FLAGS = {"data": [Path("photos")], "loss": "e", "lr": None}


SHORTCUTS = {name: ("terms", name) for name in ("mse", "l1")}


def settings(*assigned: str, file: Path | None = None, **flags: Any) -> TrainingConfig:
    return resolve(file, assigned, FLAGS | flags, SHORTCUTS)


def refusal(*assigned: str, file: Path | None = None, **flags: Any) -> str:
    with pytest.raises(OptionsError) as caught:
        settings(*assigned, file=file, **flags)
    return str(caught.value)


def toml(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "given.toml"
    file.write_text(text)
    return file


def test_every_field_says_what_it_means() -> None:
    assert [name for name, field in TrainingConfig.model_fields.items() if not field.description] == []


def test_an_assignment_and_a_flag_win_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = toml(tmp_path, "lr = 0.5\nsteps = 7\nseed = 3\n[model_options]\nwidth = 8\nblocks = 2\n")
    config = settings("steps=8", "model_options.blocks=1", file=file, seed=4)
    assert (config.lr, config.steps, config.seed, config.batch_size) == (0.5, 8, 4, 16)
    assert config.model_options == {"width": 8, "blocks": 1}


def test_a_key_that_begins_with_a_loss_means_that_term() -> None:
    config = settings("mse.luma=true", "terms.l1.weight=2")
    assert config.terms == {"mse": {"luma": True}, "l1": {"weight": 2}}


def test_values_are_read_as_toml_or_else_as_text() -> None:
    pairs = ["a=1e-4", "b=true", "c=[1, 2]", 'd="7"', "e=runs/mine=1", "f.g = 2 "]
    assert assignments(pairs) == [
        ("a", 1e-4),
        ("b", True),
        ("c", [1, 2]),
        ("d", "7"),
        ("e", "runs/mine=1"),
        ("f.g", 2),
    ]


@pytest.mark.parametrize(
    ("assigned", "sentence"),
    [
        ("stesp=3", "has no 'stesp'. Did you mean 'steps'?"),
        ("ms.luma=true", "has no 'ms'. Did you mean 'mse'?"),
        ("steps", "`set` takes KEY=VALUE, not 'steps'"),
        ("=3", "`set` takes KEY=VALUE, not '=3'"),
        ("lr=nan", "'lr' of the training configuration: Input should be a finite number, but got nan"),
        ("lr=inf", "'lr' of the training configuration: Input should be a finite number, but got inf"),
        ("lr=-1", "should be greater than 0, but got -1"),
        ("lr=0", "should be greater than 0, but got 0"),
        ("lr=fast", "should be a valid number, unable to parse string as a number, but got 'fast'"),
        ("steps=0", "greater than or equal to 1, but got 0"),
        ("steps=1.5", "but got 1.5"),
        ("warmup=-1", "greater than or equal to 0, but got -1"),
        ("ema=1", "less than 1, but got 1"),
        ("clip=nan", "should be a finite number, but got nan"),
        ("seed=-1", "greater than or equal to 0, but got -1"),
        ("seed=9223372036854775808", "less than 9223372036854775808"),
        ("scale=0", "greater than or equal to 1, but got 0"),
        ("cache_gib=nan", "should be a finite number, but got nan"),
        ("workers=-1", "greater than or equal to 0, but got -1"),
        ("device=tpu", "should be 'auto', 'cpu', 'cuda' or 'mps', but got 'tpu'"),
        ("precision=fp64", "should be 'auto', 'fp32', 'bf16' or 'fp16', but got 'fp64'"),
        ("terms.mse=2", "should be a valid dictionary, but got 2"),
    ],
)
def test_a_wrong_assignment_is_refused_in_one_sentence(assigned: str, sentence: str) -> None:
    message = refusal(assigned)
    assert sentence in message
    assert "\n" not in message


def test_a_wrong_key_of_a_source_is_refused_with_the_keys_of_a_source() -> None:
    sentence = refusal(data=None, source=["data=HR,wieght=3"])
    assert (
        "has no option 'source.0.wieght'. Did you mean 'weight'? Known options: data, degradation" in sentence
    )


def test_a_value_of_any_size_is_shortened_in_the_message() -> None:
    assert len(refusal(f"steps={[1] * 100_000}")) < 300


def test_a_run_needs_a_loss_and_data() -> None:
    with pytest.raises(OptionsError, match="a run needs `loss`: name of an objective"):
        resolve(None, [], {})
    with pytest.raises(OptionsError, match="a run needs `data`: folders of training images"):
        resolve(None, ["loss=l1"], {})
    with pytest.raises(OptionsError, match="a run needs `data`"):
        resolve(None, ["loss=l1", "data=[]"], {})


def test_what_only_follows_from_a_wrong_value_is_not_said() -> None:
    assert refusal("steps=0") == (
        "option 'steps' of the training configuration: Input should be greater than or equal to 1, but got 0"
    )


def test_one_key_given_in_two_ways_is_refused() -> None:
    assert refusal("batch_size=3", batch_size=2) == (
        "'batch_size' is given twice: by `batch_size` and by `set` batch_size; omit one"
    )


def test_a_key_below_a_value_is_refused(tmp_path: Path) -> None:
    assert "'lr' is a single value, so 'lr.high' cannot be set" in refusal(
        "lr.high=1", file=toml(tmp_path, "lr = 1")
    )


def test_a_file_is_checked_like_the_command_line(tmp_path: Path) -> None:
    assert "has no 'stesp'. Did you mean 'steps'?" in refusal(file=toml(tmp_path, "stesp = 3"))
    assert "cannot read the configuration" in refusal(file=toml(tmp_path, "steps = = 3"))
    assert "cannot read the configuration" in refusal(file=tmp_path / "missing.toml")


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    config = settings("lr=1.1e-4", "betas=[0.5, 0.75]", "mse.luma=true", 'init="a:b"', val=[Path("v")])
    write_toml(config, tmp_path / "config.toml")
    assert resolve(tmp_path / "config.toml", [], {}) == config
    unset = {"patch_size", "devices", "nodes", "lr_discriminator", "warmup_discriminator"}
    assert set(read_toml(tmp_path / "config.toml")) == set(TrainingConfig.model_fields) - unset


def test_fields_of_version_0_1_are_options_of_optimizer_and_schedule(tmp_path: Path) -> None:
    file = toml(tmp_path, "betas = [0.5, 0.75]\nlr_final = 0.2\nrecolor = true")
    for config in (settings(file=file), settings("betas=[0.5, 0.75]", "lr_final=0.2", "recolor=true")):
        assert config.optimizer_options == {"betas": [0.5, 0.75]}
        assert config.schedule_options == {"final": 0.2}
        assert config.augmentations == ["turn", "channel-shuffle"]


def test_the_second_of_two_equal_elements_of_a_chain_has_a_key_of_its_own() -> None:
    shortcuts = {"jpeg": ("degradation_options", "jpeg")}
    config = resolve(None, ["jpeg.quality=90", "jpeg#2.quality=30"], FLAGS, shortcuts)
    assert config.degradation_options == {"jpeg": {"quality": 90}, "jpeg#2": {"quality": 30}}


def test_an_option_of_a_schedule_that_is_not_chosen_is_refused() -> None:
    shortcuts = dict.fromkeys(("cosine", "wsd"), ("schedule_options",))
    for assigned in (["cosine.final=0.5"], ["wsd.final=0.5", "schedule=wsd"]):
        assert resolve(None, assigned, FLAGS, shortcuts).schedule_options == {"final": 0.5}
    with pytest.raises(OptionsError) as caught:
        resolve(None, ["schedule=wsd", "cosine.final=0.5"], FLAGS, shortcuts)
    assert str(caught.value) == (
        "'cosine.final' is an option of the schedule 'cosine', but `schedule` is 'wsd'; set "
        "`schedule=cosine`, or omit 'cosine.final'"
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_toml(settings("steps=7", "model_options.width=8"), tmp_path / "config.toml")
    return tmp_path


def test_a_resumed_run_has_its_own_settings_and_may_be_given_them_again(run: Path) -> None:
    begun = resolve(run / "config.toml", [], {})
    assert resolve_again(run, None, [], {}) == begun
    assert resolve_again(run, toml(run, "steps = 7"), ["model_options.width=8"], FLAGS, SHORTCUTS) == begun


@pytest.mark.parametrize(
    ("text", "assigned", "flags", "key"),
    [
        ("lr = 0.5", [], {}, "lr"),
        ("", ["model_options.width=16"], {}, "model_options"),
        ("", ["mse.luma=true"], {}, "terms"),
        ("", [], {"seed": 1}, "seed"),
    ],
)
def test_a_resumed_run_refuses_another_setting(
    run: Path, text: str, assigned: list[str], flags: dict[str, Any], key: str
) -> None:
    with pytest.raises(UsageError, match=f"a resumed run keeps its settings: `{key}` is .*, in the run"):
        resolve_again(run, toml(run, text), assigned, flags, SHORTCUTS)


def test_a_resumed_run_may_become_longer_but_not_shorter(run: Path) -> None:
    begun = resolve(run / "config.toml", [], {})
    assert resolve_again(run, None, [], {"steps": 100}) == begun.model_copy(update={"steps": 100})
    with pytest.raises(UsageError, match="can be extended but not shortened: `steps` is 6, in the run 7"):
        resolve_again(run, None, [], {"steps": 6})


def test_a_resumed_run_may_change_what_does_not_change_what_is_learnt(run: Path) -> None:
    changes = {"log_every": 1, "shares_every": 0, "validate_every": 2, "checkpoint_every": 3, "workers": 4}
    given = [f"{key}={value}" for key, value in changes.items()]
    wanted = resolve(run / "config.toml", [], {}).model_copy(update=changes | {"cache_gib": 0.5})
    assert resolve_again(run, None, [*given, "cache_gib=0.5"], {}) == wanted


@pytest.mark.parametrize(("steps", "warmup"), [(5, 0), (10, 1), (999, 99), (1000, 100), (100_000, 100)])
def test_a_warm_up_that_nobody_chose_takes_at_most_a_tenth_of_the_steps(steps: int, warmup: int) -> None:
    assert settings(f"steps={steps}").warmup == warmup
    assert settings(f"steps={steps}", "warmup=100").warmup == 100


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no run to resume here: config\.toml is missing"):
        resolve_again(tmp_path, None, [], {})
