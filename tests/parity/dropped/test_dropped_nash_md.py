"""Nash-MD's loss and mixture, and those of the ``NashMDTrainer`` that TRL has dropped.

TRL's penalty is our ``kl = "token"``. The gradient of the KL divergence has ``kl = "sequence"``, our default,
which is the same for answers of one token only (``nash_md_contract.py`` has the counter-example).
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from stand_ins import SEEDS, Answers, Loss, agree, close, disagree, far
from torch import Tensor
from two_symbols import logits, random_probabilities, symbols

from reference_impls.games.exact import geometric_mixture
from reference_impls.games.nash_md import nash_md_loss

PROMPT, ROWS, CHOICES = 3, 24, 11


def ours(
    answers: Answers,
    chance: Tensor,
    tau: float,
    kl: Literal["token", "sequence"] = "token",
    baseline: float = 0.5,
) -> Loss:
    """``baseline`` stands in for the one half that the loss takes from every chance."""
    shifted = chance + 0.5 - baseline
    return lambda logps: nash_md_loss(logps, answers.reference, answers.mask, shifted, tau, kl).mean()


def theirs(trl: Any, answers: Answers, chance: Tensor, beta: float) -> Loss:
    def model(logps: Tensor) -> Any:
        return lambda input_ids, attention_mask: SimpleNamespace(logits=logits(logps, PROMPT))

    trainer = SimpleNamespace(ref_model=model(answers.reference), beta=beta)
    asked = symbols(answers.mask, 9, PROMPT)

    def loss(logps: Tensor) -> Tensor:
        known = trl.NashMDTrainer._compute_logprobs(trainer, model(logps), asked, PROMPT)
        total: Tensor = trl.NashMDTrainer._compute_losses(trainer, *known, chance)[0]
        return total

    return loss


def asked_and_judged(seed: int) -> tuple[Answers, Tensor]:
    """Random answers, and the chance of each to beat its rival."""
    answers = random_probabilities(seed, ROWS)
    return answers, answers.normal(ROWS).sigmoid()


@pytest.mark.parametrize("tau", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_nash_md_agrees(trl: Any, seed: int, tau: float) -> None:
    answers, chance = asked_and_judged(seed)
    agree(ours(answers, chance, tau), theirs(trl, answers, chance, tau), answers.logps)


@pytest.mark.parametrize("seed", SEEDS)
def test_nash_md_controls_disagree(trl: Any, seed: int) -> None:
    answers, chance = asked_and_judged(seed)
    peer = theirs(trl, answers, chance, 0.3)
    disagree(ours(answers, chance, 0.25), peer, answers.logps)
    disagree(ours(answers, chance, -0.3), peer, answers.logps)
    disagree(ours(answers, 1 - chance, 0.3), peer, answers.logps)
    disagree(ours(answers, chance, 0.3, baseline=0.0), peer, answers.logps)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gradient_of_the_kl_divergence_agrees_for_one_token_only(trl: Any, seed: int) -> None:
    answers, chance = asked_and_judged(seed)
    one = replace(answers, mask=(torch.arange(answers.mask.shape[1]) < 1).double().expand_as(answers.mask))
    agree(ours(one, chance, 0.3, "sequence"), theirs(trl, one, chance, 0.3), one.logps)
    disagree(ours(answers, chance, 0.3, "sequence"), theirs(trl, answers, chance, 0.3), answers.logps)


@pytest.mark.parametrize("share", [0.0, 0.125, 0.5, 1.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_mixture_agrees(trl: Any, seed: int, share: float) -> None:
    """Which has no gradient in either."""
    draw = torch.Generator().manual_seed(seed)
    own, reference = torch.randn(2, ROWS, CHOICES, generator=draw, dtype=torch.float64)
    models = [
        type(
            "Model", (), {"config": None, "__call__": lambda self, said=said: SimpleNamespace(logits=said)}
        )()
        for said in (own, reference)
    ]
    mixture = trl.module_of["NashMDTrainer"].GeometricMixtureWrapper(*models, None, share)
    peer = mixture().logits.clone()
    mine = geometric_mixture(own.log_softmax(-1), reference.log_softmax(-1), share)
    close(mine, peer)
    far(geometric_mixture(own.log_softmax(-1), reference.log_softmax(-1), share + 0.1), peer)
    if share != 0.5:
        far(geometric_mixture(reference.log_softmax(-1), own.log_softmax(-1), share), peer)
