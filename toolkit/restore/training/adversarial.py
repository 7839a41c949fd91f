"""Adversarial training: the discriminators' terms for the generator, and their own updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restore.interfaces import AdversarialLoss, Adversary, GradientPenalty, Logits, Scores
from restore.logits import input_gradient, scales_of
from restore.resizing import imresize
from restore.training.learner import Learner

__all__ = ["AdversarialBatch", "AdversarialTrainer", "r1_penalty"]


class AdversarialBatch:
    """The images that a discriminator compares: restored ones, their targets, and the inputs.

    Args:
        fake: restored images ``(B, 3, H, W)``.
        real: targets, of the same shape.
        degraded: ``(B, 3, h, w)``.
    """

    def __init__(self, fake: Tensor, real: Tensor, degraded: Tensor) -> None:
        self.fake = fake
        self.real = real
        self.degraded = degraded

    def condition(self) -> Tensor:
        """The degraded images, enlarged to the size of the targets."""
        return imresize(self.degraded, (self.real.shape[-2], self.real.shape[-1])).to(self.real)


class AdversarialTrainer:
    """A discriminator with its adversarial loss, gate and optimizer.

    How often a network is run in one step, for a batch in one part and one process:

    - the generator's term runs the discriminator once on the restored images, and once more on the targets
      if the loss needs their logits. Those cannot serve the discriminator's update, which needs their graph,
      and the discriminator of this pass is frozen;
    - each update of the discriminator runs it once, on targets and restored images together;
    - a gradient penalty runs it once more.

    A loss of whole batches whose batch is divided, into parts or among processes, is computed from the
    logits of all; with several parts these come from one more pass without gradients.

    Args:
        adversary: the recipe.
        loss: what `adversary.loss` names.
        learner: the discriminator, as it is trained.
        network: the discriminator without the wrappers of the engine, for penalties in float32.
        conditional: whether it also takes the enlarged inputs.
        seed: of the penalties' random points.
    """

    def __init__(
        self,
        adversary: Adversary,
        loss: AdversarialLoss,
        learner: Learner,
        network: nn.Module,
        *,
        conditional: bool = False,
        seed: int = 0,
    ) -> None:
        self.adversary = adversary
        self.loss = loss
        self.learner = learner
        self.network = network
        self.conditional = conditional
        self.seed = seed
        self.scores: Scores | None = None
        self.updates = 0
        """Updates of the discriminator for which the gate was asked."""
        self._whole: tuple[Logits, Logits] | None = None

    @property
    def name(self) -> str:
        """Name of the discriminator in checkpoints and messages."""
        label = self.adversary.label
        return "discriminator" if label == "adversary" else f"discriminator-{label}"

    @property
    def term_name(self) -> str:
        """Name of the generator's term in the log."""
        label = self.adversary.label
        return "adversarial" if label == "adversary" else label

    @property
    def needs_all_logits(self) -> bool:
        """Whether `look_ahead` has to be called before the parts of a step."""
        return self.loss.whole_batch and self.learner.parts > 1

    def look_ahead(self, batches: Sequence[AdversarialBatch]) -> None:
        """Compute the logits of all parts of this step for `term`, without gradients.

        Targets and restored images go through the discriminator one after the other, as in `term`: batch
        normalization makes a difference.

        Args:
            batches: the parts of the batch, in their order.
        """
        network = self.learner.module
        with torch.no_grad():
            fakes = [self._logits(network, batch.fake, batch) for batch in batches]
            reals = [self._logits(network, batch.real, batch) for batch in batches if self.loss.needs_real]
        self._whole = _joined(fakes), _joined(reals)

    def term(self, batch: AdversarialBatch, part: int = 0) -> dict[str, Tensor]:
        """Compute the generator's weighted adversarial loss, whose gradient reaches `batch.fake`.

        Args:
            batch: one part of the step's images.
            part: its number.
        """
        with frozen(self.network):
            fake = self._logits(self.learner.module, batch.fake, batch)
            real = None
            if self.loss.needs_real:
                with torch.no_grad():
                    real = self._logits(self.learner.module, batch.real, batch)
        if not self.loss.whole_batch:
            return {self.term_name: self.adversary.weight * self.loss.generator(fake, real)}
        value = self._over_whole_batch(self.loss.generator, fake, real, part)
        return {self.term_name: self.adversary.weight * value}

    def update(self, batch: AdversarialBatch, step: int) -> dict[str, float]:
        """Update the discriminator once if the gate is open.

        Args:
            batch: restored images without gradient, targets and inputs.
            step: updates of the generator done so far.

        Returns:
            The scores on this batch and whether the gate was open.
        """
        learner, is_open = self.learner, self.adversary.gate.is_open(self.scores)
        if self.needs_all_logits and is_open:
            chunks = (each.chunk(learner.parts) for each in (batch.fake, batch.real, batch.degraded))
            with torch.no_grad():
                passes = [self._both(AdversarialBatch(*each)) for each in zip(*chunks, strict=True)]
            fakes, reals = zip(*passes, strict=True)
            self._whole = _joined(fakes), _joined(reals)
        scores = []
        parts = learner.divide(batch.fake.detach(), batch.real, batch.degraded)
        for number, tensors in enumerate(parts):
            part = AdversarialBatch(*tensors)
            with torch.set_grad_enabled(is_open):
                fake, real = self._both(part)
            if is_open:
                learner.backward(self._losses(fake, real, part, number, step))
            scores.append(_scores(fake, real))
        self.updates += 1
        self._whole = None
        if is_open:
            learner.update()
        # The mean over the processes, so that all take the same decision.
        real_score, fake_score = learner.group.mean(torch.stack(scores).mean(0)).tolist()
        self.scores = Scores(real_score, fake_score)
        suffix = "" if self.adversary.label == "adversary" else f"_{self.adversary.label}"
        return {
            f"d_real{suffix}": real_score,
            f"d_generated{suffix}": fake_score,
            f"gate{suffix}": float(is_open),
        }

    def state(self) -> dict[str, Any]:
        """Return the state besides the network and its optimizer, as JSON for a checkpoint."""
        scores = [self.scores.real, self.scores.generated] if self.scores else None
        return {"scores": scores, "updates": self.updates}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self.scores = Scores(*state["scores"]) if state["scores"] else None
        self.updates = state.get("updates", 0)

    def _losses(
        self, fake: Logits, real: Logits, batch: AdversarialBatch, part: int, step: int
    ) -> dict[str, Tensor]:
        """Compute the discriminator's loss and its penalties on one part."""
        if self.loss.whole_batch:
            loss = self._over_whole_batch(self.loss.discriminator, fake, real, part)
        else:
            loss = self.loss.discriminator(fake, real)
        losses = {"discriminator": loss}
        if isinstance(self.loss, GradientPenalty):
            generator = self._generator(step, part)
            losses["penalty"] = self.loss.penalty(
                self._in_float32(batch), batch.real.float(), batch.fake.float(), generator
            )
        every = self.adversary.r1_every
        if self.adversary.r1 and self.updates % every == 0:
            penalty = r1_penalty(self._in_float32(batch), batch.real.float())
            losses["r1"] = self.adversary.r1 * every * penalty
        return losses

    def _generator(self, step: int, part: int) -> torch.Generator:
        """Random numbers that follow from seed, step, update and the place of the part in the batch alone."""
        place = self.learner.group.fabric.global_rank * self.learner.parts + part
        count = (self.seed, step, self.updates, place)
        seed = int(np.random.SeedSequence(count).generate_state(1, np.uint64)[0])
        return torch.Generator().manual_seed(seed)

    def _in_float32(self, batch: AdversarialBatch) -> Callable[[Tensor], Logits]:
        """The discriminator outside of autocast. Its gradients are exchanged with those of the main pass."""

        def run(images: Tensor) -> Logits:
            return self._logits(self.network, images, batch)

        return run

    def _both(self, batch: AdversarialBatch) -> tuple[Logits, Logits]:
        """Compute the logits of the restored images and of the targets in one pass."""
        images = torch.cat([batch.real, batch.fake])
        if self.conditional:
            condition = batch.condition()
            logits = self.learner.module(images, torch.cat([condition, condition]))
        else:
            logits = self.learner.module(images)
        halves = [scale.float().chunk(2) for scale in scales_of(logits)]
        real, fake = ([half[number] for half in halves] for number in (0, 1))
        return (fake[0], real[0]) if isinstance(logits, Tensor) else (fake, real)

    def _logits(self, network: nn.Module, images: Tensor, batch: AdversarialBatch) -> Logits:
        logits = network(images, batch.condition()) if self.conditional else network(images)
        return logits.float() if isinstance(logits, Tensor) else [scale.float() for scale in logits]

    def _over_whole_batch(
        self, formula: Callable[..., Tensor], fake: Logits, real: Logits | None, part: int
    ) -> Tensor:
        """`formula` of the logits of all parts and processes, with the gradient by those of this part.

        The engine takes the mean of the gradients over parts and processes, so the gradient here is as many
        times larger.
        """
        group, parts = self.learner.group, self.learner.parts
        whole: list[Logits | None] = []
        for index, own in enumerate((fake, real)):
            if own is None:
                whole.append(None)
                continue
            joined = own if self._whole is None else _replaced(self._whole[index], own, part, parts)
            whole.append([group.gather(scale) for scale in scales_of(joined)])
        value = formula(*whole)
        return value.detach() + parts * group.size * (value - value.detach())


def r1_penalty(discriminator: Callable[[Tensor], Logits], real: Tensor) -> Tensor:
    """``||grad D(x)||^2 / 2`` on targets, the mean over the batch (Mescheder et al. 2018, Eq. 9).

    Args:
        discriminator: images to logits, differentiable twice.
        real: ``(B, 3, H, W)``.

    Example:
        >>> half = lambda images: images.square().flatten(1).sum(1, keepdim=True) / 2  # its gradient is x
        >>> r1_penalty(half, torch.ones(2, 3, 1, 1)).item()
        1.5
    """
    return input_gradient(discriminator, real).square().flatten(1).sum(1).mean() / 2


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Let gradients pass through `module` while none is computed for its parameters."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad = True


def _joined(passes: Sequence[Logits]) -> list[Tensor]:
    """Concatenate the logits of several parts, scale by scale."""
    return [torch.cat(scale) for scale in zip(*(scales_of(each) for each in passes), strict=True)]


def _replaced(whole: Logits, own: Logits, part: int, parts: int) -> list[Tensor]:
    """`whole` with one part exchanged for `own`, which has a graph."""
    result = []
    for scale, exchanged in zip(scales_of(whole), scales_of(own), strict=True):
        chunks = list(scale.chunk(parts))
        chunks[part] = exchanged
        result.append(torch.cat(chunks))
    return result


def _scores(fake: Logits, real: Logits) -> Tensor:
    """Mean probability of the right answer on targets and on restored images, scales counting equally."""
    of_real = [scale.detach().sigmoid().mean() for scale in scales_of(real)]
    of_fake = [(-scale.detach()).sigmoid().mean() for scale in scales_of(fake)]
    return torch.stack([torch.stack(of_real).mean(), torch.stack(of_fake).mean()])
