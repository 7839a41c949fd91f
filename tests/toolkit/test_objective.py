"""A recipe becomes terms and, where it names one, a discriminator behind a gate."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from restore.config import resolve
from restore.errors import EntryError, OptionsError, UnknownNameError
from restore.interfaces import (
    AdversarialLoss,
    Adversary,
    FeatureLoss,
    Gate,
    ObjectiveSpec,
    Options,
    Scores,
    Term,
    prepare,
)
from restore.registry import Catalog, Plugin, Registry
from restore.training.adversarial import AdversarialBatch, AdversarialTrainer, r1_penalty
from restore.training.learner import Learner
from restore.training.objective import Objective
from restore.training.processes import ProcessGroup
from restore.training.recipe import recipe, shortcuts
from restore_adversarial.losses import RelativisticAverage, Vanilla, WassersteinWithPenalty

# Recipes ---------------------------------------------------------------------------------------------


def test_a_single_loss_is_an_objective_of_one_term(toys: Registry) -> None:
    spec = recipe("l1", toys, {}, {})
    assert spec.terms == (Term("l1"),)
    assert spec.adversaries == ()


def test_the_user_changes_weights_and_options_of_terms_and_adversary(toys: Registry) -> None:
    spec = recipe("l1-toy", toys, {"l1": {"weight": 3, "luma": True}}, {"weight": 0})
    assert spec.terms == (Term("l1", 3.0, {"luma": True}), Term("mse", 0.5))
    (adversary,), (before,) = spec.adversaries, toys.objectives["l1-toy"].adversaries
    assert (adversary.discriminator, adversary.weight) == ("toy", 0.0)
    assert adversary.gate is before.gate


def test_the_gate_is_changed_to_the_leaf(toys: Registry) -> None:
    spec = recipe("pat", toys, {}, {"gate": {"threshold": 0.6}, "width": 8})
    (adversary,) = spec.adversaries
    assert isinstance(adversary.gate, Options)
    assert adversary.gate.model_dump() == {"threshold": 0.6}
    assert adversary.options == {"width": 8}


def test_loss_and_discriminator_are_exchanged_by_name_and_set_to_the_leaf(toys: Registry) -> None:
    changes = {
        "loss": {"name": "vanilla", "real_label": 0.9},
        "discriminator": {"name": "patch", "width": 8},
        "steps": 2,
        "r1": 10,
        "r1_every": 16,
    }
    (adversary,) = recipe("pat", toys, {}, changes).adversaries
    assert (adversary.loss, adversary.loss_options) == ("vanilla", {"real_label": 0.9})
    assert (adversary.discriminator, adversary.options) == ("patch", {"width": 8})
    assert (adversary.steps, adversary.r1, adversary.r1_every) == (2, 10, 16)
    (adversary,) = recipe("pat", toys, {}, {"loss": "hinge"}).adversaries
    assert adversary.loss == "hinge"


@pytest.mark.parametrize("changes", [{"loss": 5}, {"discriminator": True}, {"discriminator": [1]}])
def test_what_is_neither_a_name_nor_options_is_refused(toys: Registry, changes: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match="takes another name or options, not"):
        recipe("pat", toys, {}, changes)


def test_several_adversaries_are_changed_by_their_labels(toys: Registry) -> None:
    spec = ObjectiveSpec(
        "two", "Two adversaries", adversaries=(Adversary("toy"), Adversary("patch", label="small"))
    )
    registry = replace(toys, objectives=Catalog("objective", {"two": (spec, Plugin("test", None))}))
    first, second = recipe("two", registry, {}, {"small": {"weight": 3}}).adversaries
    assert (first.weight, second.weight) == (1, 3)
    with pytest.raises(OptionsError, match=r"no adversary 'smal'\. Did you mean 'small'"):
        recipe("two", registry, {}, {"smal": {"weight": 3}})


def test_one_loss_stands_twice_under_two_labels(toys: Registry) -> None:
    terms = (Term("l1"), Term("l1", options={"luma": True}, label="l1-luma"))
    values = Objective(ObjectiveSpec("two", "Twice", terms), toys)(*torch.rand(2, 1, 3, 8, 8))
    assert values.keys() == {"l1", "l1-luma"}
    with pytest.raises(EntryError, match="has 'l1' twice"):
        ObjectiveSpec("two", "Twice", (Term("l1"), Term("l1")))


@pytest.mark.parametrize(
    ("name", "terms", "adversary", "sentence"),
    [
        ("pat", {}, {"gate": {"treshold": 1}}, "has no option 'treshold'. Did you mean 'threshold'?"),
        ("pat", {}, {"gate": {"threshold": 2}}, "option 'threshold' of the gate"),
        (
            "pat",
            {},
            {"gate": 0.8},
            "the gate takes options, such as adversary.gate.threshold=0.8, not 0.8",
        ),
        ("l1-toy", {}, {"gate": {"threshold": 1}}, "the gate of this objective has no option 'threshold'"),
        ("l1", {"mse": {}}, {}, "objective 'l1' has no term 'mse'. Its terms: l1"),
        ("l1-toy", {"ms": {}}, {}, "has no term 'ms'. Did you mean 'mse'? Its terms: l1, mse"),
        ("e", {}, {"weight": 1}, "objective 'e' has no adversary"),
        (
            "e",
            {"mse": {"weight": -1}},
            {},
            "the weight of the term 'mse' has to be a number from 0, but is -1",
        ),
        ("e", {"mse": {"weight": math.nan}}, {}, "but is nan"),
        ("e", {"mse": {"weight": math.inf}}, {}, "but is inf"),
        ("e", {"mse": {"weight": True}}, {}, "but is True"),
        (
            "l1-toy",
            {},
            {"weight": "much"},
            "the weight of the adversary 'adversary' has to be a number from 0, but is 'much'",
        ),
    ],
)
def test_a_change_that_means_nothing_is_refused(
    toys: Registry, name: str, terms: dict[str, Any], adversary: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        recipe(name, toys, terms, adversary)
    assert sentence in str(caught.value)


def test_an_option_that_is_a_table_is_set_as_a_whole(toys: Registry) -> None:
    with pytest.raises(OptionsError, match=r"'perceptual\.layers\.pool2' is part of an option"):
        resolve(None, ["perceptual.layers.pool2=0.3"], {"loss": "p", "data": ["x"]}, shortcuts(toys))


def test_an_unknown_name_is_answered_with_the_losses_and_the_objectives(toys: Registry) -> None:
    with pytest.raises(UnknownNameError) as caught:
        recipe("l1-toi", toys, {}, {})
    message = str(caught.value)
    assert "there is no objective or loss 'l1-toi'. Did you mean 'l1-toy'?" in message
    known = message.partition("Known: ")[2].split(", ")
    assert {"e", "keys", "kinds", "l1", "l1-toy"} <= set(known), "objectives and losses"
    assert known == sorted(known)


# Terms -----------------------------------------------------------------------------------------------


def test_each_term_is_weighted_and_has_its_options(toys: Registry) -> None:
    restored, target = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    spec = ObjectiveSpec("x", "x", (Term("l1", 3.0), Term("mse", 0.5, {"luma": True})))
    terms = Objective(spec, toys)(restored, target)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert list(terms) == ["l1", "mse"]
    assert terms["l1"].item() == pytest.approx(3 * (restored - target).abs().mean().item(), rel=1e-5)
    squared = ((restored - target) * luma).sum(1).square().mean().item()
    assert terms["mse"].item() == pytest.approx(0.5 * squared, rel=1e-5)


def test_options_of_a_term_are_checked_to_the_leaf(toys: Registry) -> None:
    with pytest.raises(OptionsError, match=r"loss 'mse' has no option 'lumma'.*'luma'"):
        Objective(recipe("e", toys, {"mse": {"lumma": True}}, {}), toys)


@pytest.mark.parametrize("name", ["v1.5", "keys"])
def test_a_loss_may_have_any_name_that_the_registry_takes(toys: Registry, name: str) -> None:
    terms = Objective(recipe(name, toys, {}, {}), toys)(torch.zeros(1), torch.ones(1))
    assert terms == {name: torch.tensor(1.0)}


SHALLOW: dict[str, dict[str, Any]] = {
    "perceptual": {"layers": "pool1:0.5,conv2_1:0.25"},
    "texture": {"layers": "conv1_1:1e-4", "patch": 8},
}


class Counted(nn.Module):
    """A network that remembers what it was asked, and whether a gradient could pass."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.asked: list[tuple[set[str], bool]] = []

    def forward(self, images: Tensor, layers: set[str]) -> dict[str, Tensor]:
        self.asked.append((set(layers), torch.is_grad_enabled()))
        found: dict[str, Tensor] = self.network(images, layers)
        return found


def test_terms_that_look_with_one_network_share_a_pass_and_the_target_has_no_gradient(toys: Registry) -> None:
    objective = Objective(recipe("pat", toys, SHALLOW, {}), toys)
    prepare(objective, list(torch.rand(4, 3, 16, 16)))
    ((key, network),) = objective._networks.items()
    assert isinstance(network, nn.Module)
    counted = Counted(network)
    objective._networks[key] = counted  # type: ignore[assignment]  # a stand-in for the network
    restored, target = torch.rand(2, 3, 16, 16, requires_grad=True), torch.rand(2, 3, 16, 16)
    terms = objective(restored, target)
    layers = {"pool1", "conv1_1", "conv2_1"}
    assert counted.asked == [(layers, False), (layers, True)]
    for loss, name in zip(objective.losses, ("perceptual", "texture"), strict=True):
        assert isinstance(loss, FeatureLoss)
        assert loss.network is network
        assert terms[name].item() == pytest.approx(loss(restored, target).item(), rel=1e-6)
    torch.autograd.backward(list(terms.values()))
    assert restored.grad is not None
    assert restored.grad.abs().sum() > 0


def test_shared_networks_get_both_images_at_a_place_that_changes_with_the_step(toys: Registry) -> None:
    objective = Objective(recipe("pat", toys, SHALLOW, {}), toys, 3)
    seen: list[Tensor] = []

    def features(images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        seen.append(images)
        return dict.fromkeys(layers, images)

    for key in objective._networks:
        objective._networks[key] = features  # type: ignore[assignment]  # a stand-in for the network
    target, restored = torch.rand(2, 1, 3, 16, 16)
    places = {(row, column): target.roll((row, column), (-2, -1)) for row in range(4) for column in range(4)}
    found = []
    for step in range(100, 116):
        objective(restored, target, step=step)
        of_target, of_restored = seen[-2:]
        (place,) = [place for place, image in places.items() if torch.equal(image, of_target)]
        assert torch.equal(of_restored, restored.roll(place, (-2, -1)))
        found.append(place)
    assert sorted(found) == sorted(places)


def test_terms_that_look_with_different_networks_share_nothing(toys: Registry, vgg19: Any) -> None:
    other = SHALLOW | {"texture": SHALLOW["texture"] | {"vgg": vgg19}}
    objective = Objective(recipe("pat", toys, other, {}), toys)
    assert len(objective._networks) == 2


def test_what_terms_measured_is_kept_in_their_buffers(toys: Registry) -> None:
    objective, again = (Objective(recipe("pat", toys, SHALLOW, {}), toys) for _ in range(2))
    prepare(objective, list(torch.rand(4, 3, 16, 16)))
    again.load_state_dict(objective.state_dict())
    prepare(again, list(torch.rand(4, 3, 16, 16)))
    images = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    assert again(*images) == objective(*images)


# Adversarial training --------------------------------------------------------------------------------


class Script:
    """A gate that opens as it is told, and remembers what it was asked."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.asked: list[Scores | None] = []

    def is_open(self, scores: Scores | None) -> bool:
        self.asked.append(scores)
        return self.answers.pop(0)


class Threshold:
    """Open while the discriminator is right less often than in 80 of 100 cases."""

    def is_open(self, scores: Scores | None) -> bool:
        return scores is None or min(scores.real, scores.generated) < 0.8


def trainer(gate: Gate, lr: float = 0.1, parts: int = 1) -> AdversarialTrainer:
    torch.manual_seed(0)
    discriminator = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 1))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=lr)
    fabric = Fabric(accelerator="cpu", devices=1)
    module, wrapped = fabric.setup(discriminator, optimizer)
    trained = Learner(module, wrapped, ProcessGroup(fabric), parts=parts)
    return AdversarialTrainer(Adversary("toy", 0.5, gate), Vanilla(), trained, discriminator)


def batch(restored: Tensor, target: Tensor) -> AdversarialBatch:
    return AdversarialBatch(restored, target, target[..., ::2, ::2])


def train(adversary: AdversarialTrainer, restored: Tensor, target: Tensor) -> dict[str, float]:
    return adversary.update(batch(restored, target), step=0)


def weights(adversary: AdversarialTrainer) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in adversary.network.parameters()]


def changed(adversary: AdversarialTrainer, before: list[Tensor]) -> bool:
    return not all(torch.equal(a, b) for a, b in zip(before, weights(adversary), strict=True))


RESTORED, TARGET = torch.full((4, 3, 8, 8), 0.2), torch.full((4, 3, 8, 8), 0.8)


def test_the_adversarial_term_is_the_negative_log_probability_of_being_real() -> None:
    adversary = trainer(Script())
    term = adversary.term(batch(RESTORED, TARGET))["adversarial"]
    probability = adversary.network(RESTORED).sigmoid()
    assert term.item() == pytest.approx(-0.5 * probability.log().mean().item(), rel=1e-5)


def test_the_generators_gradient_passes_through_the_discriminator_and_leaves_none_in_it() -> None:
    adversary = trainer(Script())
    first, *rest = adversary.network.parameters()
    first.requires_grad = False
    restored = RESTORED.clone().requires_grad_()
    torch.autograd.backward(adversary.term(batch(restored, TARGET))["adversarial"])
    assert restored.grad is not None
    assert restored.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in adversary.network.parameters())
    assert not first.requires_grad, "what a discriminator keeps fixed stays fixed"
    assert all(parameter.requires_grad for parameter in rest)


def test_the_discriminator_is_trained_only_while_the_gate_is_open() -> None:
    adversary = trainer(Script(True, False, True))
    for expected in (True, False, True):
        before = weights(adversary)
        values = train(adversary, RESTORED, TARGET)
        assert changed(adversary, before) == expected
        assert values["gate"] == expected


def test_the_gate_is_asked_once_a_step_with_the_scores_of_the_step_before() -> None:
    gate = Script(True, False, False)
    adversary = trainer(gate)
    values = [train(adversary, RESTORED, TARGET) for _ in range(3)]
    known = [Scores(each["d_real"], each["d_generated"]) for each in values[:2]]
    assert gate.asked == [None, *known]


def test_scores_are_the_mean_probability_of_the_right_answer_before_learning() -> None:
    adversary = trainer(Script(True))
    with torch.no_grad():
        real = adversary.network(TARGET).sigmoid().mean().item()
        generated = (1 - adversary.network(RESTORED).sigmoid()).mean().item()
    values = train(adversary, RESTORED, TARGET)
    assert values["d_real"] == pytest.approx(real, rel=1e-5)
    assert values["d_generated"] == pytest.approx(generated, rel=1e-5)


def test_the_discriminator_minimizes_equation_9_of_the_paper() -> None:
    adversary = trainer(Script(True), lr=1e-12)
    train(adversary, RESTORED, TARGET)
    network = adversary.network
    found = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    network.zero_grad()
    real, generated = network(TARGET).sigmoid(), network(RESTORED).sigmoid()
    (-real.log().mean() - (1 - generated).log().mean()).backward()
    for gradient, parameter in zip(found, network.parameters(), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(gradient, parameter.grad, atol=1e-6)


def test_a_gate_closes_when_the_discriminator_wins_and_opens_when_it_is_fooled() -> None:
    adversary = trainer(Threshold())
    gates = [train(adversary, RESTORED, TARGET)["gate"] for _ in range(30)]
    assert gates[0] == 1
    assert gates[-1] == 0
    train(adversary, TARGET, TARGET)
    assert train(adversary, TARGET, TARGET)["gate"] == 1


def test_a_gradient_that_is_not_finite_does_not_reach_the_discriminator() -> None:
    adversary = trainer(Script(True))
    before = weights(adversary)
    train(adversary, RESTORED * math.nan, TARGET)
    assert not changed(adversary, before)
    assert (adversary.learner.skipped, adversary.learner.problem) == (1, "the term 'discriminator'")


def test_a_batch_in_parts_gives_one_update_equal_to_that_of_the_whole_batch() -> None:
    restored, target = torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8)
    gate = Script(True)
    whole, parted = trainer(Script(True)), trainer(gate, parts=2)
    expected = train(whole, restored, target)
    assert train(parted, restored, target) == pytest.approx(expected, rel=1e-5)
    assert gate.asked == [None]
    for left, right in zip(weights(whole), weights(parted), strict=True):
        assert torch.allclose(left, right, atol=1e-5)


def test_a_trainer_restores_its_scores() -> None:
    adversary, other = trainer(Script(True)), trainer(Script())
    other.restore(adversary.state())
    assert other.scores is None
    train(adversary, RESTORED, TARGET)
    other.restore(adversary.state())
    assert other.scores == adversary.scores
    assert other.scores is not None


class Passes(nn.Module):
    """A discriminator that counts the images of each pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3)
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        logits: Tensor = self.conv(images)
        return logits


@pytest.mark.parametrize(
    ("loss", "r1", "of_term", "of_update"),
    [
        (Vanilla(), 0.0, [4], [8]),
        (RelativisticAverage(), 0.0, [4, 4], [8]),
        (WassersteinWithPenalty(), 0.0, [4], [8, 4]),
        (Vanilla(), 1.0, [4], [8, 4]),
    ],
)
def test_no_loss_runs_the_discriminator_more_often_than_its_formula_needs(
    loss: AdversarialLoss, r1: float, of_term: list[int], of_update: list[int]
) -> None:
    network = Passes()
    fabric = Fabric(accelerator="cpu", devices=1)
    module, optimizer = fabric.setup(network, torch.optim.Adam(network.parameters()))
    learner = Learner(module, optimizer, ProcessGroup(fabric))
    adversary = AdversarialTrainer(Adversary("toy", gate=Script(True), r1=r1), loss, learner, network)
    adversary.term(batch(RESTORED, TARGET))
    assert network.seen == of_term
    network.seen.clear()
    train(adversary, RESTORED, TARGET)
    assert network.seen == of_update


def test_r1_is_added_every_few_updates_with_as_many_times_the_weight() -> None:
    adversary = trainer(Script(True, True, True, True))
    adversary.adversary = replace(adversary.adversary, r1=2.0, r1_every=2)
    part = batch(RESTORED, TARGET)
    fake, real = adversary.network(RESTORED), adversary.network(TARGET)
    found = []
    for adversary.updates in range(4):
        losses = adversary._losses(fake, real, part, 0, 0)
        found.append(losses.get("r1"))
    expected = 2.0 * 2 * r1_penalty(adversary.network, TARGET)
    assert [each is None for each in found] == [False, True, False, True]
    assert found[0] is not None
    assert torch.allclose(found[0], expected)
