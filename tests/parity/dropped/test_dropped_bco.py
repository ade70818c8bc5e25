"""BCO's loss and running shift, and those of the ``BCOTrainer`` that TRL has dropped.

Its shift is kept in single precision, and so far goes the agreement. It weighs all answers so far alike and we
all batches, which is the same for batches of equal size. Its matching of two kinds of prompts is left out.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from stand_ins import SEEDS, Answers, Loss, accelerator, agree, close, disagree, far
from torch import Tensor
from two_symbols import TOKEN, logits, random_probabilities, symbols

from reference_impls.direct_alignment.unpaired import UnpairedConfig, answer_loss, log_ratio, running_mean

PROMPT, ROWS = 3, 24


def labels(answers: int) -> Tensor:
    return torch.arange(answers) % 3 != 1


def rewards(answers: Answers, logps: Tensor, beta: float) -> Tensor:
    return beta * log_ratio(logps, answers.reference, answers.mask)


def shift_after(batches: list[Tensor]) -> Tensor:
    """Our shift after batches of rewards."""
    shift = torch.zeros(())
    for count, batch in enumerate(batches, 1):
        shift = running_mean(shift, batch, count)
    return shift


def ours(answers: Answers, earlier: list[Tensor], beta: float, lift: float = 0.0, sign: int = 1) -> Loss:
    config = UnpairedConfig(loss="bco", beta=beta)

    def mean(logps: Tensor) -> Tensor:
        shift = sign * shift_after([*earlier, rewards(answers, logps, beta)]) + lift
        ratio = log_ratio(logps, answers.reference, answers.mask)
        return answer_loss(config, ratio, labels(len(ratio)), shift).mean()

    return mean


def moments(trl: Any, earlier: list[Tensor]) -> Any:
    single = SimpleNamespace(**vars(accelerator()), use_distributed=False)
    running = trl.module_of["BCOTrainer"].RunningMoments(single)
    for batch in earlier:
        running.update(batch)
    return running


def theirs(trl: Any, answers: Answers, earlier: list[Tensor], beta: float) -> Loss:
    """The loss of a batch after earlier ones, of which the rewards are given."""

    def model(logps: Tensor) -> Any:
        return lambda input_ids, attention_mask: SimpleNamespace(logits=logits(logps, PROMPT))

    answer = torch.cat([torch.zeros(len(answers.mask), PROMPT), answers.mask], 1) == 1
    batch = {f"completion_{name}": ids for name, ids in symbols(answers.mask, 9, PROMPT).items()} | {
        "completion_labels": torch.where(answer, TOKEN, -100),
        "label": labels(len(answers.mask)).tolist(),
    }
    peer = trl.BCOTrainer

    def loss(logps: Tensor) -> Tensor:
        trainer = SimpleNamespace(
            accelerator=accelerator(),
            ref_model=model(answers.reference),
            is_encoder_decoder=False,
            aux_loss_enabled=False,
            match_underlying_distribution=False,
            beta=beta,
            running=moments(trl, earlier),
            get_batch_logps=peer.get_batch_logps,
            _get_prompt_embeddings=lambda _: (None, None),
        )
        trainer.forward = lambda *given: peer.forward(trainer, *given)
        trainer.bco_loss = lambda *given, **named: peer.bco_loss(trainer, *given, **named)
        total: Tensor = peer.get_batch_loss_metrics(trainer, model(logps), batch)[0]
        return total

    return loss


def a_run(seed: int, beta: float, batches: int) -> tuple[Answers, list[Tensor]]:
    """A batch of answers and the rewards of those before it, whose mean is well off zero."""
    before = [random_probabilities(seed + 100 * turn, ROWS) for turn in range(1, batches)]
    return random_probabilities(seed, ROWS), [rewards(one, one.logps + 0.5, beta) for one in before]


@pytest.mark.parametrize("batches", [1, 2, 4])
@pytest.mark.parametrize("beta", [0.1, 0.7])
@pytest.mark.parametrize("seed", SEEDS)
def test_bco_agrees(trl: Any, seed: int, beta: float, batches: int) -> None:
    answers, earlier = a_run(seed, beta, batches)
    peer = theirs(trl, answers, earlier, beta)
    agree(ours(answers, earlier, beta), peer, answers.logps, single=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_bco_controls_disagree(trl: Any, seed: int) -> None:
    answers, earlier = a_run(seed, 0.7, 4)
    peer, at = theirs(trl, answers, earlier, 0.7), answers.logps
    disagree(ours(answers, earlier, 0.6), peer, at)
    disagree(ours(answers, earlier, -0.7), peer, at)
    disagree(ours(answers, earlier, 0.7, lift=-0.3), peer, at)
    disagree(ours(answers, earlier, 0.7, sign=-1), peer, at)
    disagree(ours(answers, earlier, 0.7, sign=0), peer, at)
    disagree(ours(answers, [], 0.7), peer, at)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_shift_agrees_for_batches_of_equal_size(trl: Any, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    batches = [torch.randn(ROWS, generator=draw, dtype=torch.float64) + turn for turn in range(5)]
    close(shift_after(batches), torch.tensor(moments(trl, batches).mean, dtype=torch.float64), single=True)
    ragged = [batch[: ROWS - 4 * turn] for turn, batch in enumerate(batches)]
    far(shift_after(ragged), torch.tensor(moments(trl, ragged).mean, dtype=torch.float64))
