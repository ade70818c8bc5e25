"""The losses of single labelled answers, and TRL's ``KTOTrainer`` and ``DPOTrainer`` with the matching options.

The ``BCOTrainer`` is one of those that TRL has dropped: see dropped/. Its loss type ``bco_pair`` is that loss
without a shift. A shift is a constant that is taken from every reward, so it is compared by raising the reference.
"""

from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from stand_ins import SEEDS, Answers, Loss, accelerator, agree, disagree, metrics, random_answers
from test_trl_dpo import PROMPT, ROWS
from test_trl_pairwise import ratios
from test_trl_pairwise import theirs as dpo_trainer
from torch import Tensor

from reference_impls.direct_alignment.unpaired import (
    UnpairedConfig,
    answer_loss,
    log_ratio,
    pair_loss,
    reference_point,
)

MATCHED, MISMATCHED = 9, 8
"""What the stand-in models are asked about, told by the ids of the tokens."""
# Our loss of single answers, and TRL's loss of pairs that adds the losses of both.
OF_PAIRS = {"apo-zero": "apo_zero", "nca": "nca_pair", "bco": "bco_pair"}


def labels(answers: int) -> Tensor:
    return torch.arange(answers) % 3 != 1


def model(matched: Tensor, mismatched: Tensor) -> Any:
    """A language model with these log-probabilities, 0 where the label is -100."""

    def forward(input_ids: Tensor, labels: Tensor, **_: object) -> SimpleNamespace:
        answers = matched if int(input_ids[0, 0]) == MATCHED else mismatched
        prompt = torch.full((len(answers), PROMPT - 1), -9.0, dtype=torch.float64)
        log_probs = torch.cat([prompt, answers], 1).masked_fill(labels[:, 1:] == -100, 0.0)
        nothing = torch.zeros_like(log_probs)
        return SimpleNamespace(log_probs=log_probs, entropy=nothing, mean_logits=nothing)

    # KTOTrainer calls its model and asks it about its state.
    return type(
        "Model", (), {"__call__": staticmethod(forward), "training": True, "is_gradient_checkpointing": False}
    )()


def theirs(
    trl: ModuleType, data: Answers, other: Answers, loss_type: str, beta: float, weights: tuple[float, float]
) -> Loss:
    """``KTOTrainer``'s loss of log-probabilities of the answers and, below them, of the mismatched answers."""

    def batch(prefix: str, mask: Tensor, token: int) -> dict[str, Tensor]:
        rows = len(mask)
        completion = torch.cat([torch.zeros(rows, PROMPT), mask], 1).long()
        attention = torch.cat([torch.ones(rows, PROMPT), mask], 1).long()
        return {
            f"{prefix}input_ids": torch.full_like(completion, token),
            f"{prefix}attention_mask": attention,
            f"{prefix}completion_mask": completion,
        }

    inputs: dict[str, Tensor] = {**batch("", data.mask, MATCHED), "label": labels(len(data.mask))}
    if loss_type == "kto":
        inputs |= batch("KL_", other.mask, MISMATCHED)
    trainer = SimpleNamespace(
        accelerator=accelerator(),
        args=SimpleNamespace(gradient_checkpointing_kwargs=None),
        ref_model=model(data.reference, other.reference),
        precompute_ref_logps=False,
        calculate_KL=loss_type == "kto",
        loss_type=loss_type,
        beta=beta,
        desirable_weight=weights[0],
        undesirable_weight=weights[1],
        aux_loss_enabled=False,
        _metrics=metrics(),
        _total_train_tokens=0,
        _tp_size=1,
    )
    trainer._compute_kl_logps = lambda asked, given: trl.KTOTrainer._compute_kl_logps(trainer, asked, given)

    def loss(logps: Tensor) -> Tensor:
        trainer.model = model(*logps.chunk(2))
        return trl.KTOTrainer._compute_loss(trainer, trainer.model, inputs, False)

    return loss


def ours(
    data: Answers, other: Answers, loss: str, beta: float, weights: tuple[float, float], lift: float = 0.0
) -> Loss:
    config = UnpairedConfig(
        loss=loss,  # type: ignore[arg-type]
        beta=beta,
        desirable_weight=weights[0],
        undesirable_weight=weights[1],
    )

    def mean(logps: Tensor) -> Tensor:
        matched, mismatched = logps.chunk(2)
        point = reference_point(log_ratio(mismatched, other.reference, other.mask)) + lift
        ratio = log_ratio(matched, data.reference, data.mask)
        return answer_loss(config, ratio, labels(len(ratio)), point).mean()

    return mean


def two_batches(seed: int) -> tuple[Answers, Answers, Tensor]:
    """Answers, mismatched answers that the policy likes better than the reference does, and both log-probabilities."""
    data, other = random_answers(seed, ROWS), random_answers(seed + 100, ROWS)
    other = replace(other, logps=other.logps + 0.5)
    assert reference_point(log_ratio(other.logps, other.reference, other.mask)) > 0.3
    return data, other, torch.cat([data.logps, other.logps])


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 0.5)])
@pytest.mark.parametrize("beta", [0.1, 0.7])
@pytest.mark.parametrize("seed", SEEDS)
def test_kto_agrees(trl: ModuleType, seed: int, beta: float, weights: tuple[float, float]) -> None:
    data, other, logps = two_batches(seed)
    agree(ours(data, other, "kto", beta, weights), theirs(trl, data, other, "kto", beta, weights), logps)


@pytest.mark.parametrize("seed", SEEDS)
def test_kto_agrees_where_the_reference_point_is_clamped(trl: ModuleType, seed: int) -> None:
    data, other, logps = two_batches(seed)
    logps = torch.cat([data.logps, other.logps - 1.0])
    peer = theirs(trl, data, other, "kto", 0.7, (1.0, 1.0))
    agree(ours(data, other, "kto", 0.7, (1.0, 1.0)), peer, logps)
    agree(ours(data, other, "apo-zero", 0.7, (1.0, 1.0)), peer, logps)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 0.5)])
@pytest.mark.parametrize("seed", SEEDS)
def test_apo_zero_of_single_answers_agrees(trl: ModuleType, seed: int, weights: tuple[float, float]) -> None:
    data, other, logps = two_batches(seed)
    peer = theirs(trl, data, other, "apo_zero_unpaired", 0.7, weights)
    agree(ours(data, other, "apo-zero", 0.7, weights), peer, logps)


@pytest.mark.parametrize("seed", SEEDS)
def test_controls_disagree(trl: ModuleType, seed: int) -> None:
    data, other, logps = two_batches(seed)
    peer = theirs(trl, data, other, "kto", 0.7, (1.0, 1.0))
    disagree(ours(data, other, "kto", 0.6, (1.0, 1.0)), peer, logps)
    disagree(ours(data, other, "kto", 0.7, (1.5, 1.0)), peer, logps)
    disagree(ours(data, other, "kto", 0.7, (1.0, 1.0), lift=0.5), peer, logps)
    disagree(ours(data, other, "apo-zero", 0.7, (1.0, 1.0)), peer, logps)


def of_both(pairs: Answers, loss: str, beta: float, anchor: float = 0.0) -> Loss:
    """Our losses of a pair's two answers, added."""
    config = UnpairedConfig(loss=loss, beta=beta)  # type: ignore[arg-type]

    def mean(logps: Tensor) -> Tensor:
        good = torch.arange(len(logps)) < len(logps) // 2
        return 2 * answer_loss(config, torch.cat(ratios(pairs, logps)), good, anchor).mean()

    return mean


@pytest.mark.parametrize("beta", [0.1, 0.7])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("loss", OF_PAIRS)
def test_losses_of_pairs_are_sums_over_answers(trl: ModuleType, loss: str, seed: int, beta: float) -> None:
    pairs = random_answers(seed, ROWS)
    peer = dpo_trainer(trl, pairs, beta, loss_types=[OF_PAIRS[loss]])
    agree(of_both(pairs, loss, beta), peer, pairs.logps)
    disagree(of_both(pairs, loss, 1.2 * beta), peer, pairs.logps)
    for other in OF_PAIRS:
        if other != loss:
            disagree(of_both(pairs, other, beta), peer, pairs.logps)


@pytest.mark.parametrize("seed", SEEDS)
def test_bco_agrees_with_a_shift(trl: ModuleType, seed: int) -> None:
    pairs = random_answers(seed, ROWS)
    raised = pairs.reference.clone()
    raised[:, 0] += 0.3 / 0.7
    peer = dpo_trainer(trl, replace(pairs, reference=raised), 0.7, loss_types=["bco_pair"])
    agree(of_both(pairs, "bco", 0.7, anchor=0.3), peer, pairs.logps)
    disagree(of_both(pairs, "bco", 0.7, anchor=-0.3), peer, pairs.logps)


@pytest.mark.parametrize("beta", [0.1, 0.7])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("loss", "peer_type"), [("apo-down", "apo_down"), ("dpo", "sigmoid")])
def test_losses_of_pairs_agree(trl: ModuleType, loss: str, peer_type: str, seed: int, beta: float) -> None:
    pairs = random_answers(seed, ROWS)
    peer = dpo_trainer(trl, pairs, beta, loss_types=[peer_type])

    def mine(beta: float) -> Loss:
        config = UnpairedConfig(loss=loss, beta=beta)  # type: ignore[arg-type]
        return lambda logps: pair_loss(config, *ratios(pairs, logps)).mean()

    agree(mine(beta), peer, pairs.logps)
    disagree(mine(1.2 * beta), peer, pairs.logps)
