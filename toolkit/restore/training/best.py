"""The best weights of a run by the metrics of its validations, and whether it has stopped improving."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import isnan
from statistics import fmean
from typing import Any

from torch import Tensor

from restore.config import TrainingConfig
from restore.errors import OptionsError, UsageError
from restore.evaluation import Better

__all__ = ["Best", "BestWeights", "kept_metrics", "watched_metrics"]


@dataclass(frozen=True)
class Best:
    """The best validation so far by one metric."""

    value: float
    """Of the metric: the mean over the validation folders, each of which counts the same."""
    step: int
    metrics: Mapping[str, float]
    """All results of that validation."""


class BestWeights:
    """The weights with the best value of each metric, and for how many validations none has improved.

    Args:
        better: metric -> which of its values are better.
        keeps_weights: whether the weights are kept; otherwise only the values.
        patience: validations in a row without an improvement after which the run stops; 0: never.

    >>> best = BestWeights({"l1": "lower"}, patience=1)
    >>> for step, value in enumerate([0.5, 0.4, 0.4]):
    ...     best.update(step, {"a l1": value, "b l1": value}, dict)
    >>> best.found["l1"].step, best.is_exhausted
    (1, True)
    """

    def __init__(
        self, better: Mapping[str, Better], *, keeps_weights: bool = False, patience: int = 0
    ) -> None:
        self.better = dict(better)
        self.keeps_weights = keeps_weights
        self.patience = patience
        self.found: dict[str, Best] = {}
        """Metric -> its best validation so far."""
        self.weights: dict[str, Mapping[str, Tensor]] = {}
        """Metric -> the weights of that validation, on the CPU."""
        self.since = 0
        """Validations since one of the metrics improved."""

    @property
    def is_exhausted(self) -> bool:
        """Whether the run has to stop."""
        return 0 < self.patience <= self.since

    @property
    def reason(self) -> str:
        """The reason why the run stops, as a sentence."""
        steps = " and ".join(f"{name} at step {best.step}" for name, best in self.found.items())
        last = f"the best {steps}" if steps else "none was a number"
        return f"{' and '.join(self.better)} did not improve in {self.since} validations ({last})"

    def update(
        self, step: int, metrics: Mapping[str, float], weights: Callable[[], Mapping[str, Tensor]]
    ) -> None:
        """Take the results of a validation.

        Args:
            step: steps done.
            metrics: ``FOLDER METRIC`` -> value.
            weights: gives those that were validated; called when they are the best.
        """
        if not self.better:
            return
        improved = False
        for name in self.better:
            value = fmean(each for key, each in metrics.items() if key.rpartition(" ")[2] == name)
            if self._is_better(name, value):
                improved = True
                self.found[name] = Best(value, step, dict(metrics))
                if self.keeps_weights:
                    copies = {key: tensor.detach().cpu().clone() for key, tensor in weights().items()}
                    self.weights[name] = copies
        self.since = 0 if improved else self.since + 1

    def state(self) -> dict[str, Any]:
        """The state besides the weights, for a checkpoint."""
        return {"since": self.since, "found": {name: asdict(best) for name, best in self.found.items()}}

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Restore what `state` returned, and the weights of each metric.

        Raises:
            KeyError: `tensors` lacks the weights of a metric.
        """
        found = {name: Best(**best) for name, best in state.get("found", {}).items() if name in self.better}
        self.weights = {name: tensors[name] for name in found if self.keeps_weights}
        self.found, self.since = found, state.get("since", 0)

    def _is_better(self, name: str, value: float) -> bool:
        if isnan(value) or name not in self.found:
            return not isnan(value)
        best = self.found[name].value
        return value > best if self.better[name] == "higher" else value < best


def kept_metrics(config: TrainingConfig) -> list[str]:
    """The metrics by which weights are kept.

    >>> kept_metrics(TrainingConfig(loss="e", data=["photos"], keep=["best:ssim"]))
    ['ssim']

    Raises:
        OptionsError: an item of `keep` is not ``best:METRIC``.
    """
    kept = []
    for item in config.keep:
        best, _, metric = item.partition(":")
        if best != "best" or not metric:
            raise OptionsError(f"`keep={item}` is not best:METRIC", hint="use `keep=best:psnr`, for example")
        kept.append(metric)
    return kept


def watched_metrics(config: TrainingConfig) -> list[str]:
    """The metrics whose best values matter: those of `keep`, or else the one that `patience` looks at.

    Raises:
        OptionsError: an item of `keep` is wrong.
        UsageError: `keep`, `patience` or `metric` is set, but there are no validation images.
    """
    kept = kept_metrics(config)
    if not config.val:
        for name in ("keep", "patience", "metric"):
            value = getattr(config, name)
            if value != TrainingConfig.model_fields[name].default:
                shown = ",".join(value) if isinstance(value, list) else value
                raise UsageError(f"`{name}={shown}` needs validation images", hint="add `val`")
    if kept or not config.patience:
        return kept
    return config.metric[:1]
