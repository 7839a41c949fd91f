"""Best weights and early stopping: by any metric, on any validation folders, over kills and resumes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from torch import Tensor
from training_runs import Configure, Draw, Line, after_step, interrupt, log

from restore.checkpoint import latest_checkpoint, load_model, read_card, sha256
from restore.config import TrainingConfig, read_toml, resolve
from restore.errors import RestoreError
from restore.evaluation import Better
from restore.registry import Registry
from restore.training import Monitor, shortcuts, train
from restore.training.best import BestWeights


def validations(run: Path) -> dict[int, dict[str, float]]:
    return {line["step"]: line["validation"] for line in log(run) if "validation" in line}


def contents(run: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in run.glob("*.safetensors")}


@pytest.fixture
def worsening(configure: Configure, draw: Draw, tmp_path: Path) -> Configure:
    """A run that is validated at each step, and improves by one metric while it worsens by the other."""

    draw(tmp_path / "val" / "a.png", 24, 24)

    def make(**changes: Any) -> TrainingConfig:
        values: dict[str, Any] = {
            "val": [tmp_path / "val"],
            "metric": ["psnr"],
            "keep": ["best:bright", "best:dark"],
            "validate_every": 1,
            "lr": 0.02,
            "ema": 0,
        }
        return configure(**(values | changes))

    return make


@pytest.mark.parametrize(
    ("better", "values", "best"),
    [
        pytest.param("higher", [1.0, 3.0, 2.0], 1, id="higher"),
        pytest.param("lower", [2.0, 1.0, 3.0], 1, id="lower"),
        pytest.param("lower", [2.0, 2.0, 2.0], 0, id="the first of equal ones"),
        pytest.param("higher", [float("nan"), 1.0, float("nan")], 1, id="a number is better than none"),
    ],
)
def test_the_best_value_is_the_highest_or_the_lowest_as_the_metric_says(
    better: Better, values: list[float], best: int
) -> None:
    found = BestWeights({"m": better}, keeps_weights=True)
    for step, value in enumerate(values):
        found.update(step, {"set m": value}, lambda step=step: {"step": Tensor([step])})  # type: ignore[misc]
    assert (found.found["m"].step, found.found["m"].value) == (best, values[best])
    assert found.weights["m"]["step"] == best


def test_the_value_of_a_metric_is_its_mean_over_the_folders() -> None:
    found = BestWeights({"m": "higher"})
    found.update(1, {"a m": 1.0, "b m": 4.0, "a n": 9.0}, dict)
    found.update(2, {"a m": 3.0, "b m": 1.0, "a n": 9.9}, dict)
    assert (found.found["m"].value, found.found["m"].step) == (2.5, 1)


def test_the_best_weights_are_those_of_the_validation_with_the_best_value(
    toys: Registry, worsening: Configure, tmp_path: Path
) -> None:
    run, weights = tmp_path / "run", dict[int, bytes]()

    def see(line: Line) -> None:
        if "steps" in line:  # the weights of the step before are saved
            weights[line["step"] - 1] = (run / "generator.safetensors").read_bytes()

    result = train(worsening(checkpoint_every=1), toys, run, monitor=Monitor(log=see))
    weights[6] = result.weights.read_bytes()
    measured = validations(run)
    (name,) = {key.rpartition(" ")[0] for key in measured[1]}
    assert set(measured[1]) == {f"{name} psnr", f"{name} bright", f"{name} dark"}, "what is kept is measured"
    assert set(result.best) == {"bright", "dark"}
    steps = {
        "bright": max(measured, key=lambda step: measured[step][f"{name} bright"]),
        "dark": min(measured, key=lambda step: measured[step][f"{name} bright"]),
    }
    assert steps["bright"] != steps["dark"]
    for metric, file in result.best_weights.items():
        step = steps[metric]
        assert result.best[metric].step == read_card(file).steps == step
        assert read_card(file).metrics == measured[step]
        card = read_card(file)
        assert file.read_bytes() == weights[step], "equal weights and metadata give equal bytes"
        assert (card.model, card.scale) == ("enhancenet", 4)


def test_losses_are_metrics_with_options_of_their_own(
    toys: Registry, configure: Configure, photos: Path, tmp_path: Path
) -> None:
    assert shortcuts(toys)["ssim"] == ("metric_options", "ssim")
    given = configure(val=[photos]).model_dump(mode="json", exclude={"metric", "metric_options"})
    config = resolve(None, ["metric=l1,ssim", "metric_options.l1.luma=true"], given)
    assert config.metric == ["l1", "ssim"]
    assert config.metric_options == {"l1": {"luma": True}}
    result = train(config, toys, tmp_path / "run")
    assert {key.rpartition(" ")[2] for key in result.metrics} == {"l1", "ssim"}


def test_best_weights_of_a_resumed_run_are_those_of_one_that_never_stopped(
    toys: Registry, worsening: Configure, tmp_path: Path
) -> None:
    config, run, killed = worsening(patience=5), tmp_path / "run", tmp_path / "killed"
    train(config, toys, run, monitor=after_step(4, lambda: shutil.copytree(run, killed)))
    train(config, toys, tmp_path / "halted", monitor=after_step(3, interrupt))
    for other in (killed, tmp_path / "halted"):
        train(config, toys, other, resume=True)
        assert contents(other) == contents(run)
        assert len(contents(other)) == 3
        state, expected = (latest_checkpoint(each / "checkpoints")[0].state["best"] for each in (other, run))
        assert state == expected


def test_best_weights_that_a_kill_left_behind_are_replaced_by_those_of_the_checkpoint(
    toys: Registry, worsening: Configure, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(worsening(), toys, run)
    end = contents(run)
    shutil.rmtree(run / "checkpoints" / "00000006")
    for file in run.glob("generator-best-*"):
        file.write_bytes(b"of a step that is forgotten")
    train(worsening(), toys, run, resume=True)
    assert contents(run) == end


def test_a_run_stops_early_and_goes_on_with_more_patience(
    toys: Registry, worsening: Configure, tmp_path: Path
) -> None:
    run, said = tmp_path / "run", list[str]()
    impatient = worsening(keep=[], metric=["constant"], patience=2)
    monitor = Monitor(message=said.append)
    result = train(impatient, toys, run, monitor=monitor)
    assert (result.step, result.stopped_early, result.interrupted) == (3, True, False)
    assert said[-1] == (
        "stopped early at step 3: constant did not improve in 2 validations (the best constant at step 1)"
    )
    before = contents(run)
    again = train(impatient, toys, run, resume=True)
    assert (again.step, again.stopped_early, contents(run)) == (3, True, before)
    patient = impatient.model_copy(update={"patience": 4})
    assert train(patient, toys, run, resume=True).step == 5
    assert resolve(run / "config.toml", [], {}) == patient


def test_an_improvement_of_any_metric_resets_the_patience() -> None:
    found = BestWeights({"m": "higher", "n": "lower"}, patience=2)
    exhausted = []
    for step, (m, n) in enumerate([(1.0, 1.0), (0.0, 2.0), (0.0, 0.5), (0.0, 2.0), (1.0, 0.5)]):
        found.update(step, {"set m": m, "set n": n}, dict)
        exhausted.append(found.is_exhausted)
    assert exhausted == [False, False, False, False, True]
    assert found.reason == "m and n did not improve in 2 validations (the best m at step 0 and n at step 2)"


def test_a_model_that_takes_numbers_is_validated_without_enlarging(
    toys: Registry, worsening: Configure, tmp_path: Path
) -> None:
    denoiser = {
        "model": "ffdnet",
        "model_options": {"width": 8, "layers": 4},
        "degradation": "noise",
        "scale": 1,
    }
    config = worsening(**denoiser, metric=["ssim"], keep=["best:ssim"], steps=2)
    result = train(config, toys, tmp_path / "run")
    assert load_model(f"ffdnet:{result.best_weights['ssim']}", toys).scale == 1
    assert {key.rpartition(" ")[2] for key in result.metrics} == {"ssim"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"val": []}, "`keep=best:bright,best:dark` needs validation images; add `val`"),
        ({"val": [], "keep": [], "patience": 3}, "`patience=3` needs validation images; add `val`"),
        ({"val": [], "keep": [], "metric": ["ssim"]}, "`metric=ssim` needs validation images; add `val`"),
        ({"keep": ["ssim"]}, "`keep=ssim` is not best:METRIC; use `keep=best:psnr`"),
        ({"keep": ["best:"]}, "`keep=best:` is not best:METRIC"),
        ({"keep": ["best:sim"]}, "there is no metric or loss 'sim'. Did you mean 'ssim'?"),
        ({"metric_options": {"ssim": {}}}, "given for 'ssim', which is not measured"),
        ({"metric_options": {"psnr": {"brd": 1}}}, "metric 'psnr' has no option 'brd'"),
    ],
)
def test_what_a_validation_cannot_measure_is_refused_before_the_first_step(
    toys: Registry, worsening: Configure, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RestoreError) as caught:
        train(worsening(**changes), toys, tmp_path / "run")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_run_of_a_version_without_best_weights_resumes(
    toys: Registry, worsening: Configure, tmp_path: Path
) -> None:
    run, new = tmp_path / "run", ("metric", "keep", "metric_options")
    config = worsening(keep=[])
    train(config, toys, tmp_path / "whole")
    train(config, toys, run, monitor=after_step(2, interrupt))
    file = run / "config.toml"
    known = read_toml(file)
    assert set(new) < known.keys()
    file.write_text(tomli_w.dumps({key: value for key, value in known.items() if key not in new}))
    checkpoint = run / "checkpoints" / "00000002"
    content = json.loads((checkpoint / "state.json").read_text())
    del content["state"]["best"]
    (checkpoint / "state.json").write_text(json.dumps(content))
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["state.json"] = sha256(checkpoint / "state.json")
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    resumed = resolve(file, [], {}).model_copy(update={"patience": 9})
    assert train(resumed, toys, run, resume=True).step == 6
    assert contents(run) == contents(tmp_path / "whole")
