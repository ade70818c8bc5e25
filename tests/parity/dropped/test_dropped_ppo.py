"""PPO's rewards, advantages and both losses, and the ``PPOTrainer`` that TRL has dropped.

All of it was written out inside ``train()``, so this runs ``train()`` itself for one update on one batch: models,
optimiser and logging are stand-ins, the samples were drawn beforehand, and what goes to ``backward`` is the loss.
Its value and its gradient, in the policy's logits and in the critic's values, are compared with our functions'.

TRL always whitens advantages, with n - 1 in the variance where we have n, averages over tokens where we add up,
and adds ``vf_coef`` times the critic's loss to the policy's.

One difference is left. Our score is earned with an answer's last token, as in the papers. TRL pays it one place
later, on the first token of padding, and the critic learns a value of that place too; only an answer that fills
its row is paid on its last token (issues 1893 and 3750 of huggingface/trl). So our functions agree once they are
given a mask that is one place longer. With gamma and lambda 1 the policy's loss does not notice.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from stand_ins import SEEDS, Answers, Loss, accelerator, agree, close, disagree, far, random_answers
from torch import Tensor

from reference_impls.core.estimators import gae, whiten
from reference_impls.policy_gradient.ppo import ppo_policy_loss, ppo_value_loss, token_rewards

# TRL logs the variance of a single number.
pytestmark = pytest.mark.filterwarnings(r"ignore:var\(\)")

ROWS, SYMBOLS, PAD = 16, 4, 0
WHITEN_EPS = 1e-8


@dataclass(frozen=True)
class Settings:
    """By TRL's names, with values that make every part matter."""

    kl_coef: float = 0.3
    gamma: float = 0.9
    lam: float = 0.8
    cliprange: float = 0.2
    cliprange_value: float = 0.2
    vf_coef: float = 0.5


@dataclass(frozen=True)
class Batch:
    """What was sampled: token ids and mask, old and reference logits, old values and scores."""

    tokens: Tensor
    mask: Tensor
    old: Tensor
    reference: Tensor
    values: Tensor
    scores: Tensor
    at: Tensor
    """New logits and, last, new values: (answers, tokens, symbols + 1)."""

    @property
    def paid(self) -> Tensor:
        """The mask with one place more where there is room."""
        return torch.cat([self.mask[:, :1], self.mask[:, :-1]], 1)


def random_batch(seed: int, ragged: bool = True) -> Batch:
    answers: Answers = random_answers(seed, ROWS)
    mask = answers.mask if ragged else torch.ones_like(answers.mask)
    shape = mask.shape
    old = answers.normal(*shape, SYMBOLS)
    values = answers.normal(*shape)
    at = torch.cat([old, values[..., None]], -1) + 0.3 * answers.normal(*shape, SYMBOLS + 1)
    return Batch(
        tokens=torch.randint(1, SYMBOLS, shape, generator=answers.draw) * mask.long(),
        mask=mask,
        old=old,
        reference=old + 0.5 * answers.normal(*shape, SYMBOLS),
        values=values,
        scores=answers.normal(ROWS),
        at=at,
    )


def token_logps(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)


def our_advantages(batch: Batch, settings: Settings, paid: Tensor) -> tuple[Tensor, Tensor]:
    """Whitened advantages and the critic's targets when the score is earned at the end of the mask ``paid``."""
    old, reference = (token_logps(logits, batch.tokens) for logits in (batch.old, batch.reference))
    nothing_to_pay = torch.where(batch.mask == 1, reference, old)
    rewards = token_rewards(batch.scores, old, nothing_to_pay, paid, settings.kl_coef)
    advantages, targets = gae(rewards, batch.values, paid, settings.gamma, settings.lam)
    return whitened(advantages, batch.mask), targets


def whitened(advantages: Tensor, mask: Tensor) -> Tensor:
    """Our whitening with the divisor n - 1 of TRL's, which takes n / (n - 1) in single precision."""
    count = mask.sum().float()
    factor = 1 / (count / (count - 1)).double()
    return factor.sqrt() * whiten(advantages, mask, WHITEN_EPS * float(factor))


def ours(batch: Batch, settings: Settings, paid: Tensor | None = None) -> Loss:
    """Our losses, averaged over tokens and added; ``paid`` is the mask one place longer, by default."""
    paid = batch.paid if paid is None else paid
    advantages, targets = our_advantages(batch, settings, paid)
    old = token_logps(batch.old, batch.tokens)

    def loss(at: Tensor) -> Tensor:
        logps = token_logps(at[..., :-1], batch.tokens)
        policy = ppo_policy_loss(logps, old, advantages, batch.mask, settings.cliprange)
        critic = ppo_value_loss(at[..., -1], batch.values, targets, paid, settings.cliprange_value)
        return policy.sum() / batch.mask.sum() + settings.vf_coef * critic.sum() / paid.sum()

    return loss


def around(inner: Tensor) -> Tensor:
    """``inner``, which a model says before each token of the answer, for a prompt of one token: one place more."""
    return torch.cat([inner, torch.zeros_like(inner[:, :1])], 1)


def scorer(values: Tensor) -> Any:
    """A model with a head for a scalar, of whom only the values matter: (answers, places)."""
    return SimpleNamespace(
        base_model_prefix="trunk",
        trunk=lambda **_: SimpleNamespace(hidden_states=[values[..., None]]),
        score=lambda hidden: hidden,
    )


class Model:
    """Policy and critic: what they were when the batch was sampled, and what they are when called."""

    def __init__(self, batch: Batch, at: Tensor) -> None:
        self.at = at
        self.value_model = scorer(around(batch.values))
        self.policy = SimpleNamespace(
            generate=lambda input_ids, **_: SimpleNamespace(
                scores=batch.old.unbind(1), sequences=torch.cat([input_ids, batch.tokens], 1)
            )
        )

    def train(self) -> None:
        pass

    def __call__(self, input_ids: Tensor, **_: object) -> tuple[SimpleNamespace, Tensor]:
        at = around(self.at[input_ids[:, 0] - 1])
        return SimpleNamespace(logits=at[..., :-1]), at[..., -1:]


def theirs(trl: Any, batch: Batch, settings: Settings) -> Loss:
    """What one update hands to ``backward``; the prompt of each answer is its number, counted from 1."""
    control = SimpleNamespace(should_save=False)
    callbacks = dict.fromkeys(("on_train_begin", "on_step_end", "on_train_end"), lambda *_: control)
    arguments = {
        **vars(settings),
        "kl_estimator": "k1",
        "whiten_rewards": False,
        "missing_eos_penalty": None,
        # TRL adds 1e-7.
        "temperature": 1 - 1e-7,
        "response_length": batch.mask.shape[1],
        "num_total_batches": 1,
        "num_ppo_epochs": 1,
        "num_mini_batches": 1,
        "gradient_accumulation_steps": 1,
        "total_episodes": ROWS,
        "num_sample_generations": 0,
        "ds3_gather_for_generation": False,
        **dict.fromkeys(("logging_steps", "eval_steps", "save_steps")),
        **dict.fromkeys(
            (
                "batch_size",
                "local_batch_size",
                "local_mini_batch_size",
                "local_rollout_forward_batch_size",
                "per_device_train_batch_size",
            ),
            ROWS,
        ),
    }

    def loss(at: Tensor) -> Tensor:
        losses: list[Tensor] = []
        trainer = SimpleNamespace(
            args=SimpleNamespace(**arguments),
            accelerator=SimpleNamespace(
                **vars(accelerator()),
                print=lambda *_: None,
                unwrap_model=lambda model: model,
                accumulate=lambda _: nullcontext(),
                backward=losses.append,
            ),
            optimizer=SimpleNamespace(step=lambda: None, zero_grad=lambda: None),
            model=Model(batch, at),
            ref_model=lambda **_: SimpleNamespace(logits=around(batch.reference)),
            reward_model=scorer(batch.scores[:, None].expand(-1, batch.mask.shape[1] + 1)),
            processing_class=SimpleNamespace(pad_token_id=PAD, eos_token_id=1),
            stop_token_id=None,
            dataloader=[{"input_ids": torch.arange(1, ROWS + 1)[:, None]}],
            train_dataset_len=ROWS,
            state=SimpleNamespace(),
            control=control,
            callback_handler=SimpleNamespace(**callbacks),
            lr_scheduler=SimpleNamespace(step=lambda: None, get_last_lr=lambda: [0.0]),
            is_deepspeed_enabled=False,
            log=lambda _: None,
        )
        trl.PPOTrainer.train(trainer)
        (found,) = losses
        return found

    return loss


@pytest.fixture(autouse=True)
def as_it_is(trl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins are wrapped in nothing, and need no collection of garbage."""
    module = trl.module_of["PPOTrainer"]
    monkeypatch.setattr(module, "unwrap_model_for_generation", lambda model, *_, **__: nullcontext(model))
    monkeypatch.setattr(module, "gc", SimpleNamespace(collect=lambda: None))


def assert_every_side_of_the_clips(batch: Batch, settings: Settings) -> None:
    advantages, targets = our_advantages(batch, settings, batch.paid)
    log_ratio = token_logps(batch.at[..., :-1], batch.tokens) - token_logps(batch.old, batch.tokens)
    for sign in (advantages > 0, advantages < 0):
        for side in (log_ratio.exp() < 0.8, (log_ratio.exp() - 1).abs() < 0.2, log_ratio.exp() > 1.2):
            assert ((batch.mask == 1) & sign & side).any()
    moved = batch.at[..., -1] - batch.values
    for sign in (targets > batch.values, targets < batch.values):
        for side in (moved < -0.2, moved.abs() < 0.2, moved > 0.2):
            assert ((batch.paid == 1) & sign & side).any()


@pytest.mark.parametrize("ragged", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_ppo_agrees(trl: Any, seed: int, ragged: bool) -> None:
    batch, settings = random_batch(seed, ragged), Settings()
    assert_every_side_of_the_clips(batch, settings)
    agree(ours(batch, settings), theirs(trl, batch, settings), batch.at)


@pytest.mark.parametrize(
    "change",
    [
        {"kl_coef": 0.2},
        {"kl_coef": -0.3},
        {"gamma": 1.0},
        {"lam": 0.95},
        {"cliprange": 0.1},
        {"cliprange_value": 0.1},
        {"vf_coef": 0.4},
    ],
    ids=lambda change: "-".join(map(str, *change.items())),
)
def test_every_setting_matters_and_agrees(trl: Any, change: dict[str, float]) -> None:
    batch, usual = random_batch(0), Settings()
    changed = replace(usual, **change)
    agree(ours(batch, changed), theirs(trl, batch, changed), batch.at)
    disagree(ours(batch, changed), theirs(trl, batch, usual), batch.at)


@pytest.mark.parametrize("seed", SEEDS)
def test_ppo_controls_disagree(trl: Any, seed: int) -> None:
    batch, settings = random_batch(seed), Settings()
    peer = theirs(trl, batch, settings)
    disagree(ours(replace(batch, scores=-batch.scores), settings), peer, batch.at)
    disagree(ours(replace(batch, reference=batch.old), settings), peer, batch.at)
    disagree(ours(replace(batch, values=torch.zeros_like(batch.values)), settings), peer, batch.at)


@pytest.mark.parametrize("seed", SEEDS)
def test_where_the_score_is_paid(trl: Any, seed: int) -> None:
    """Paid on the last token we agree for answers that fill their rows, or without discounts and critic."""
    full, ragged, settings = random_batch(seed, ragged=False), random_batch(seed), Settings()
    agree(ours(full, settings, full.mask), theirs(trl, full, settings), full.at)
    disagree(ours(ragged, settings, ragged.mask), theirs(trl, ragged, settings), ragged.at)

    whole = replace(settings, gamma=1.0, lam=1.0)
    disagree(ours(ragged, whole, ragged.mask), theirs(trl, ragged, whole), ragged.at)
    policy = replace(whole, vf_coef=0.0)
    agree(ours(ragged, policy, ragged.mask), theirs(trl, ragged, policy), ragged.at)


@pytest.mark.parametrize("seed", SEEDS)
def test_whitening_agrees_up_to_the_divisor(trl: Any, seed: int) -> None:
    answers = random_answers(seed)
    peer = trl.module_of["PPOTrainer"].masked_whiten(answers.logps, answers.mask == 1) * answers.mask
    close(whitened(answers.logps, answers.mask), peer)
    assert not torch.allclose(whiten(answers.logps, answers.mask), peer, rtol=1e-3)
    far(whiten(answers.logps, torch.ones_like(answers.mask)) * answers.mask, peer)
