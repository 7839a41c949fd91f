"""Compare the speed of `restore train` with that of a minimal training loop for the same network.

::

    python benchmarks/training.py photos/
    python benchmarks/training.py photos/ --loss pat --set perceptual.layers=pool2:0.2,pool3:0.02

Both loops run interleaved, so that other load on the machine affects both. The plain loop runs in a process
of its own, because `restore` changes how its process handles memory.

The last table splits a step into its parts, and states how close each comes to the machine's limit: the rate
of a product of two large matrices in the same precision, measured between the runs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Annotated, Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
import typer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from drawn import draw
from restore.allocator import keep_memory
from restore.config import TrainingConfig, resolve
from restore.data import Sample, batches
from restore.errors import RestoreError
from restore.inference import choose_device, choose_precision
from restore.registry import Registry, discover
from restore.report import plain_table
from restore.training import Monitor, loop, start, train
from restore.training.adversarial import AdversarialBatch, AdversarialTrainer
from restore.training.recipe import shortcuts
from restore.training.session import Session
from restore.training.setup import TrainingSetup, set_up
from restore.training.step import train_step

PHASES = {
    "generator": "forward and backward pass, and its update",
    "losses": "the objective's terms and their gradient",
    "discriminator": "its term, the gradient of that, and its own step",
    "rest": "seeds, learning rate, metrics",
}


@dataclass(frozen=True)
class Case:
    """The measured configuration."""

    config: TrainingConfig
    registry: Registry
    warmup: int
    """Steps at the start of each run that are not measured."""

    @property
    def device(self) -> torch.device:
        """The device of both loops."""
        return choose_device(self.config.device)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of both loops."""
        return choose_precision(self.config.precision, self.device)

    @property
    def images(self) -> int:
        """The number of measured images of one run."""
        return (self.config.steps - self.warmup) * self.config.batch_size

    def setup(self) -> TrainingSetup:
        """Resolve the names in the configuration."""
        return set_up(self.config, self.registry)


@dataclass(frozen=True)
class Speed:
    """The speed of one run of `restore train`."""

    images_per_second: float
    waiting: float
    """Share of the time in which the loop waits for data."""


class Waiting:
    """Replaces `restore.data.batches` in the loop and measures the waiting time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def batches(self, *arguments: Any) -> Generator[Sample]:
        """Call `restore.data.batches`, whose processes start at once."""
        return self._timed(batches(*arguments))

    def _timed(self, loaded: Generator[Sample]) -> Generator[Sample]:
        with closing(loaded):
            while True:
                before = time.perf_counter()
                batch = next(loaded, None)
                self.seconds += time.perf_counter() - before
                if batch is None:
                    return
                yield batch


def measure_restore(case: Case) -> Speed:
    """Train like `restore train`, on images from the disk."""
    waiting = Waiting()
    seen: dict[int, tuple[float, float]] = {}  # step -> time, and seconds waited so far

    def log(line: dict[str, Any]) -> None:
        seen.setdefault(line["step"], (time.perf_counter(), waiting.seconds))

    train_with(case, Monitor(log=log), (start, "batches"), waiting.batches)
    (begin_time, begin_waited), (end_time, end_waited) = seen[case.warmup], seen[case.config.steps]
    seconds = end_time - begin_time
    return Speed(case.images / seconds, (end_waited - begin_waited) / seconds)


def measure_plain(case: Case, batches_: list[Sample]) -> float:
    """Return the images per second of a minimal training loop with batches in memory."""
    setup, device = case.setup(), case.device
    network = setup.generator().to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=case.config.lr, betas=(0.9, 0.999))
    begin_time = time.perf_counter()
    for step in range(case.config.steps):
        if step == case.warmup:
            synchronize(device)
            begin_time = time.perf_counter()
        degraded, target, _ = on_device(batches_[step % len(batches_)], device)
        with torch.autocast(device.type, case.dtype, enabled=case.dtype != torch.float32):
            restored = network(degraded)
        loss = F.mse_loss(restored.float(), target)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
    synchronize(device)
    return case.images / (time.perf_counter() - begin_time)


class Phases:
    """A stopwatch for the phases of a step, which also counts their operations in the first one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.operations: defaultdict[str, int] = defaultdict(int)
        self.last = 0.0
        self.counter: FlopCounterMode | None = None
        self.counted = 0

    def lap(self, name: str) -> None:
        """Add the time and the operations since the last call to the phase `name`."""
        synchronize(self.device)
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        self.last = now
        if self.counter is not None:
            total = self.counter.get_total_flops()
            self.operations[name] += total - self.counted
            self.counted = total


@dataclass(frozen=True)
class Phase:
    """A phase of a step."""

    milliseconds: float
    gigaflop: float
    """Multiplications and additions of convolutions and products of matrices, in 1e9."""


class TimedAdversary:
    """The adversarial trainer of a session, with a stopwatch."""

    def __init__(self, trainer: AdversarialTrainer, phases: Phases) -> None:
        self.trainer = trainer
        self.phases = phases

    def term(self, batch: AdversarialBatch, part: int = 0) -> dict[str, Tensor]:
        """As the trainer's own."""
        self.phases.lap("rest")
        seen = batch.fake.view_as(batch.fake)
        # It is the last term, so that its gradient is the first: when it arrives here, the losses begin.
        seen.register_hook(lambda _: self.phases.lap("discriminator"))  # type: ignore[no-untyped-call]
        terms = self.trainer.term(AdversarialBatch(seen, batch.real, batch.degraded), part)
        self.phases.lap("discriminator")
        return terms

    def update(self, batch: AdversarialBatch, step: int) -> dict[str, float]:
        """As the trainer's own."""
        self.phases.lap("generator")  # whose gradient and update came before
        values = self.trainer.update(batch, step)
        self.phases.lap("discriminator")
        return values

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int = 2048, repeats: int = 10) -> float:
    """Return 1e9 operations per second of a product of two square matrices; the best of several."""
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        torch.mm(left, right)
        synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return 2e-9 * side**3 / min(seconds)


def measure_phases(case: Case) -> dict[str, Phase]:
    """Return each phase of a step, without the time between steps; a GPU is synchronized."""
    phases = Phases(case.device)

    def watched(session: Session, batch: Sample, fresh: Sequence[Sample] = ()) -> dict[str, float | Tensor]:
        if session.step == 0:
            _attach(phases, session)
        if session.step == case.warmup:
            phases.seconds.clear()
        phases.lap("between steps")
        # Not in the first step, which also computes the share of each term.
        with FlopCounterMode(display=False) if session.step == 1 else nullcontext() as phases.counter:
            values = train_step(session, batch, fresh)
            phases.lap("rest")
        phases.counter = None
        return values

    train_with(case, Monitor(), (loop, "train_step"), watched)
    steps = case.config.steps - case.warmup
    return {
        name: Phase(1000 * phases.seconds[name] / steps, 1e-9 * phases.operations[name]) for name in PHASES
    }


def train_with(
    case: Case, monitor: Monitor, place: tuple[ModuleType, str], watched: Callable[..., Any]
) -> None:
    """Train in a temporary folder, with the function of a module replaced by `watched`."""
    with TemporaryDirectory() as folder, patch.object(*place, watched):
        train(case.config, case.registry, Path(folder) / "run", monitor=monitor)


def _attach(phases: Phases, session: Session) -> None:
    """Register hooks that report the phases of a step."""

    def generator_done(_: Any, __: Any, restored: Tensor) -> None:
        phases.lap("generator")
        restored.register_hook(lambda _: phases.lap("losses"))  # type: ignore[no-untyped-call]

    optimizer = session.learner.optimizer
    raw: torch.optim.Optimizer = getattr(optimizer, "optimizer", optimizer)  # of Fabric's wrapper
    raw.register_step_post_hook(lambda *_: phases.lap("generator"))
    session.generator.register_forward_pre_hook(lambda *_: phases.lap("rest"))
    session.generator.register_forward_hook(generator_done)
    session.objective.register_forward_pre_hook(lambda *_: phases.lap("rest"))
    session.objective.register_forward_hook(lambda *_: phases.lap("losses"))
    timed = [TimedAdversary(adversary, phases) for adversary in session.adversaries]
    session.adversaries[:] = timed  # type: ignore[assignment] # same methods


def on_device(batch: Sample, device: torch.device) -> Sample:
    """Copy a batch to the device like the training loop."""
    degraded, target = (image.to(device, memory_format=torch.channels_last) for image in batch[:2])
    return Sample(degraded, target, batch.conditions.to(device))


def synchronize(device: torch.device) -> None:
    """Wait until the device is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def in_own_process(images: Path) -> float:
    """Run `measure_plain` in a new process, in which `restore` has not trained."""
    given = [argument for argument in sys.argv[1:] if argument != str(images)]
    command = [sys.executable, __file__, str(images), *given, "--only-plain"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - itself
    if done.returncode:
        raise RestoreError(f"the plain loop failed: {done.stderr.strip()}")
    return float(done.stdout)


def in_memory(setup: TrainingSetup, count: int = 8) -> list[Sample]:
    """Return the first batches of a run."""
    size = setup.config.batch_size
    samples = [
        [setup.images.samples[size * batch + index] for index in range(size)] for batch in range(count)
    ]
    return [Sample(*map(torch.stack, zip(*batch, strict=True))) for batch in samples]


def speed_table(own: list[Speed], plain: list[float]) -> str:
    """Format the medians over the repeats with their range."""
    speeds = [speed.images_per_second for speed in own]
    rows = [
        [name, *(f"{value:.2f}" for value in (median(values), min(values), max(values)))]
        for name, values in (("restore train", speeds), ("plain loop", plain))
    ]
    ratios = [mine / other for mine, other in zip(speeds, plain, strict=True)]
    waiting = [100 * speed.waiting for speed in own]
    return "\n".join(
        [
            plain_table(["images per second", "median", "lowest", "highest"], rows),
            f"ratio: {median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})",
            f"waiting for data: {median(waiting):.2f} % (from {min(waiting):.2f} to {max(waiting):.2f})",
        ]
    )


def phase_table(repeats: list[dict[str, Phase]], rate: float) -> str:
    """Format the medians over the repeats, with each phase's share of the rate of matrix products."""
    medians = {
        name: Phase(median(phases[name].milliseconds for phases in repeats), repeats[0][name].gigaflop)
        for name in PHASES
    }
    whole = Phase(
        sum(phase.milliseconds for phase in medians.values()),
        sum(phase.gigaflop for phase in medians.values()),
    )
    rows = [
        [
            name,
            f"{phase.milliseconds:.1f}",
            f"{100 * phase.milliseconds / whole.milliseconds:.1f}",
            f"{phase.gigaflop:.1f}",
            f"{1000 * phase.gigaflop / phase.milliseconds / rate:.2f}" if phase.gigaflop else "",
            meaning,
        ]
        for name, phase, meaning in (
            *((name, medians[name], meaning) for name, meaning in PHASES.items()),
            ("whole step", whole, f"of {rate:.0f} GFLOP/s of matrix products"),
        )
    ]
    return plain_table(["phase", "ms per step", "%", "GFLOP", "share of rate", ""], rows)


def compare(
    case: Case, repeats: int, plain_loop: Callable[[], float], say: Callable[[str], None]
) -> Iterable[str]:
    """Run both loops interleaved, then measure the phases of a step; yield one table each."""
    setup = case.setup()
    config = setup.config
    side = setup.images.samples.patch
    yield (
        f"{config.model} {config.scale}x, objective {config.loss}, batch {config.batch_size}, targets of "
        f"{side}x{side} pixels, {str(case.dtype).removeprefix('torch.')} on "
        f"{case.device}, {torch.get_num_threads()} threads, {config.workers} loading; {repeats} runs of "
        f"{config.steps - case.warmup} steps after {case.warmup}"
    )
    own, plain = [], []
    for repeat in range(1, repeats + 1):
        own.append(measure_restore(case))
        plain.append(plain_loop())
        say(f"{repeat}/{repeats}: {own[-1].images_per_second:.2f} and {plain[-1]:.2f} images/s")
    yield speed_table(own, plain)
    measured, rates = [], []
    for _ in range(repeats):
        rates.append(matrix_rate(case.device, case.dtype))
        measured.append(measure_phases(case))
    yield phase_table(measured, median(rates))


def main(
    *,
    folder: Annotated[
        Path | None, typer.Argument(help="Training images. Default: generated images.", show_default=False)
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a model.")] = "enhancenet",
    loss: Annotated[str, typer.Option(help="Name of an objective, or of a single loss.")] = "e",
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a batch.")] = 16,
    patch_size: Annotated[int, typer.Option(min=1, help="Side of the square target in pixels.")] = 128,
    steps: Annotated[int, typer.Option(min=1, help="Measured steps of each run.")] = 40,
    warmup: Annotated[int, typer.Option(min=1, help="Steps before the measured ones.")] = 30,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each loop.")] = 5,
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that load images.")] = 1,
    cache_gib: Annotated[
        float | None, typer.Option(help="Memory for decoded images; 0: none. Default: that of a run.")
    ] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any field of a run.")
    ] = None,
    only_plain: Annotated[
        bool, typer.Option("--only-plain", help="Run the plain loop once and print one number.")
    ] = False,
) -> None:
    """Compare the images per second of `restore train` and of a plain PyTorch loop, and split a step."""
    flags = {
        "model": model,
        "loss": loss,
        "batch_size": batch_size,
        "patch_size": patch_size,
        "steps": warmup + steps,
        "precision": precision,
        "device": device,
        "workers": workers,
        "cache_gib": cache_gib,
        # Log at the end of the warm-up and of the run, and about as often as by default between them.
        "log_every": warmup,
        "checkpoint_every": warmup + steps,
    }
    with TemporaryDirectory() as drawn:
        try:
            images = folder or draw(Path(drawn), 2 * batch_size, patch_size)
            registry = discover()
            case = Case(
                resolve(None, assign or [], flags | {"data": [images]}, shortcuts(registry)), registry, warmup
            )
            if only_plain:
                typer.echo(measure_plain(case, in_memory(case.setup())))
                return
            keep_memory()  # like the command
            alone = partial(in_own_process, images)
            for table in compare(case, repeats, alone, lambda words: typer.echo(words, err=True)):
                typer.echo(f"{table}\n")
        except RestoreError as error:
            typer.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)


if __name__ == "__main__":
    typer.run(main)
