"""What the parity tests share: random ragged batches, stand-ins for TRL's trainers, and the comparison.

A loss of TRL is a method that reads a few attributes of its trainer. It is called unbound, with a namespace
in the trainer's place that holds those attributes and nothing else, so that an attribute which a later TRL
begins to read is an error and never a silent default. Models are stand-ins too: they answer with
log-probabilities that were drawn beforehand. All is in double precision, so formulas that are the same agree
to rounding; every comparison is of the value and of the gradient in every log-probability, padding included.
"""

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor

SEEDS = range(5)
# TRL computes n / (n - 1) for its standard deviations in single precision, whatever the rewards' type: that is
# exact for 5 samples, and off by 1e-8 for 4.
GROUPS, SAMPLES, TOKENS = 5, 5, 7
PROMPT_IDS = [5, 6, 7]

Loss = Callable[[Tensor], Tensor]


def no_peer(reason: str) -> NoReturn:
    """Skip, or fail where $REQUIRE_PARITY says that the peer must be there."""
    if os.environ.get("REQUIRE_PARITY", "0") not in ("", "0"):
        pytest.fail(f"REQUIRE_PARITY is set, but there is no TRL here. {reason}", pytrace=False)
    pytest.skip(f"NO PARITY TEST: {reason}")


def value_and_gradient(loss: Loss, at: Tensor) -> tuple[Tensor, Tensor]:
    leaf = at.clone().requires_grad_()
    value = loss(leaf)
    assert value.shape == ()
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def close(ours: Tensor, theirs: Tensor, single: bool = False) -> None:
    """Equal to rounding: in double precision, or where the peer computes in ``single`` precision, to its."""
    rtol, atol = (1e-5, 1e-7) if single else (1e-9, 1e-12)
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)


def far(ours: Tensor, theirs: Tensor) -> None:
    difference, size = (ours - theirs).norm().item(), theirs.norm().item()
    assert difference > 0.01 * size, f"the control agrees: {difference} of {size}"


def agree(ours: Loss, theirs: Loss, at: Tensor, single: bool = False) -> None:
    for a, b in zip(value_and_gradient(ours, at), value_and_gradient(theirs, at), strict=True):
        close(a, b, single)


def disagree(ours: Loss, theirs: Loss, at: Tensor) -> None:
    """The negative control: another value, and a gradient that differs by more than one per cent."""
    (value, gradient), (their_value, their_gradient) = (
        value_and_gradient(loss, at) for loss in (ours, theirs)
    )
    assert not torch.isclose(value, their_value, rtol=1e-6, atol=0), "the control's value agrees"
    far(gradient, their_gradient)


@dataclass(frozen=True)
class Answers:
    """Token log-probabilities of random answers, (answers, tokens), with rubbish on the padding."""

    logps: Tensor
    old: Tensor
    reference: Tensor
    mask: Tensor
    draw: torch.Generator

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.draw, dtype=torch.float64)


def random_answers(seed: int, answers: int = GROUPS * SAMPLES) -> Answers:
    draw = torch.Generator().manual_seed(seed)

    def normal(scale: float) -> Tensor:
        return scale * torch.randn(answers, TOKENS, generator=draw, dtype=torch.float64)

    lengths = torch.randint(1, TOKENS + 1, (answers,), generator=draw)
    lengths[0], lengths[-1] = TOKENS, 1
    old = -normal(1.0).abs() - 0.1
    return Answers(
        logps=old + normal(0.4),
        old=old,
        reference=old + normal(0.5),
        mask=(torch.arange(TOKENS) < lengths[:, None]).double(),
        draw=draw,
    )


def accelerator() -> SimpleNamespace:
    return SimpleNamespace(
        device=torch.device("cpu"),
        num_processes=1,
        process_index=0,
        gather=lambda x: x,
        gather_for_metrics=lambda x: x,
        reduce=lambda x, reduction: x,
    )


def metrics() -> dict[str, dict[str, list[float]]]:
    return {"train": defaultdict(list)}


def model(logps: Tensor) -> SimpleNamespace:
    return SimpleNamespace(training=True, is_gradient_checkpointing=False, logps=logps)


def sampling_trainer(answers: Answers, rewards: Tensor, generated: tuple[Any, ...], **settings: Any) -> Any:
    """What GRPOTrainer and RLOOTrainer both read; ``generated`` is what ``_generate`` returns."""
    return SimpleNamespace(
        accelerator=accelerator(),
        model=model(answers.old),
        ref_model=model(answers.reference),
        _generate=lambda prompts: generated,
        _get_per_token_logps_and_entropies=lambda model, *_, **__: (
            model.logps,
            torch.zeros_like(model.logps),
            None,
        ),
        _calculate_rewards=lambda *_: rewards.view(-1, 1),
        reward_weights=torch.ones(1, dtype=torch.float64),
        reward_func_names=["reward"],
        num_generations=SAMPLES,
        args=SimpleNamespace(
            per_device_train_batch_size=len(rewards),
            gradient_accumulation_steps=1,
            gradient_checkpointing_kwargs=None,
            steps_per_generation=2,
            use_bias_correction_kl=False,
            delta=None,
        ),
        _tokenizer=SimpleNamespace(pad_token_id=0),
        pad_to_multiple_of=None,
        mask_truncated_completions=False,
        log_multimodal=False,
        aux_loss_enabled=False,
        _metrics=metrics(),
        _logs={
            "prompt": [],
            "completion": [],
            "advantages": [],
            "rewards": defaultdict(list),
            "extra": defaultdict(list),
        },
        _pending_extra_logs={},
        _pending_metrics={},
        **settings,
    )


def completions(answers: Answers) -> list[list[int]]:
    return [[9] * int(length) for length in answers.mask.sum(1)]


def sample_and_score(trainer_class: Any, trainer: Any, answers: Answers) -> dict[str, Tensor]:
    """TRL's own step from rewards to advantages: what it then hands to its loss."""
    inputs = trainer_class._generate_and_score_completions(trainer, [{"prompt": "x"}] * len(answers.mask))
    close(inputs["completion_mask"].double(), answers.mask)
    return inputs
