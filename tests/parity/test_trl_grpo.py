"""GRPO's advantages and loss, PPO's clipped surrogate, and TRL's ``GRPOTrainer``.

TRL is given the same sampled answers and rewards and takes its own way from rewards to advantages to loss.
Its loss type ``grpo`` is the paper's: each answer's mean over tokens, then the mean over answers.

The PPO trainer is one of those that TRL has dropped: see dropped/. The policy's part of PPO still has a
counterpart: the loss type ``luspo``, given one advantage a token, sums the clipped surrogate over tokens.
Critic, advantages and whitening have none.
"""

from types import ModuleType
from typing import Any

import pytest
from stand_ins import (
    GROUPS,
    PROMPT_IDS,
    SAMPLES,
    SEEDS,
    TOKENS,
    Answers,
    Loss,
    agree,
    close,
    completions,
    disagree,
    far,
    model,
    random_answers,
    sample_and_score,
    sampling_trainer,
)
from torch import Tensor

from reference_impls.core.estimators import group_normalised_advantage, leave_one_out_advantage
from reference_impls.policy_gradient.grpo import advantages, grpo_loss
from reference_impls.policy_gradient.ppo import ppo_policy_loss

CLIP, BETA = 0.2, 0.3
TRL_SCALE = {"std": "group", "none": "none"}


def trainer_of(answers: Answers, rewards: Tensor, **changed: Any) -> Any:
    lists = completions(answers)
    settings = {
        "beta": BETA,
        "loss_type": "grpo",
        "scale_rewards": "group",
        "importance_sampling_level": "token",
        "epsilon_low": CLIP,
        "epsilon_high": CLIP,
        "num_iterations": 1,
        "current_gradient_accumulation_steps": 1,
        "max_completion_length": TOKENS,
        "multi_objective_aggregation": "sum_then_normalize",
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "use_vllm": False,
        "environment_factories": None,
        "environments": None,
        "tools": None,
        "_entropy_bonus_enabled": False,
    }
    generated = ([PROMPT_IDS] * len(lists), lists, None, ["y"] * len(lists), None, {}, None, None)
    return sampling_trainer(answers, rewards, generated, **(settings | changed))


def theirs(trl: ModuleType, answers: Answers, rewards: Tensor, **changed: Any) -> Loss:
    trainer = trainer_of(answers, rewards, **changed)
    inputs = sample_and_score(trl.GRPOTrainer, trainer, answers)
    return lambda logps: trl.GRPOTrainer._compute_loss(trainer, model(logps), inputs)


def ours(answers: Answers, rewards: Tensor, beta: float = BETA, scale: str = "std") -> Loss:
    advantage = advantages(rewards.view(GROUPS, SAMPLES), scale).flatten()
    return lambda logps: grpo_loss(
        logps, answers.old, answers.reference, answers.mask, advantage, CLIP, beta
    ).mean()


def random_rewards(answers: Answers) -> Tensor:
    """One group has equal rewards, so that its advantages are zero."""
    rewards = answers.normal(GROUPS, SAMPLES)
    rewards[-1] = 0.7
    return rewards.flatten()


def assert_every_side_of_the_clip(answers: Answers, advantage: Tensor) -> None:
    """Ratios below, inside and above the clip range, with advantages of both signs."""
    ratio = (answers.logps - answers.old).exp()
    real = answers.mask == 1
    for sign in (advantage > 0, advantage < 0):
        for side in (ratio < 1 - CLIP, (ratio - 1).abs() < CLIP, ratio > 1 + CLIP):
            assert (real & sign & side).any()


@pytest.mark.parametrize("scale", ["std", "none"])
@pytest.mark.parametrize("seed", SEEDS)
def test_group_advantages_agree(trl: ModuleType, seed: int, scale: str) -> None:
    answers = random_answers(seed)
    rewards = random_rewards(answers)
    groups = rewards.view(GROUPS, SAMPLES)
    trainer = trainer_of(answers, rewards, scale_rewards=TRL_SCALE[scale])
    peer = sample_and_score(trl.GRPOTrainer, trainer, answers)["advantages"].view(GROUPS, SAMPLES)
    close(advantages(groups, scale), peer)
    assert peer[-1].abs().max() == 0

    spread = groups.std(-1, correction=0, keepdim=True) + 1e-4
    far((groups - groups.mean(-1, keepdim=True)) / spread, peer)
    far(leave_one_out_advantage(groups), peer)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_added_epsilon_agrees(trl: ModuleType, seed: int) -> None:
    """Rewards that hardly differ show what is added to the standard deviation."""
    answers = random_answers(seed)
    rewards = 1e-4 * random_rewards(answers)
    peer = sample_and_score(trl.GRPOTrainer, trainer_of(answers, rewards), answers)["advantages"]
    groups = rewards.view(GROUPS, SAMPLES)
    close(group_normalised_advantage(groups).flatten(), peer)
    far(group_normalised_advantage(groups, eps=1e-8).flatten(), peer)


@pytest.mark.parametrize("beta", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("scale", ["std", "none"])
@pytest.mark.parametrize("seed", SEEDS)
def test_grpo_agrees(trl: ModuleType, seed: int, scale: str, beta: float) -> None:
    answers = random_answers(seed)
    rewards = random_rewards(answers)
    assert_every_side_of_the_clip(answers, advantages(rewards.view(GROUPS, SAMPLES), scale).view(-1, 1))
    peer = theirs(trl, answers, rewards, beta=beta, scale_rewards=TRL_SCALE[scale])
    agree(ours(answers, rewards, beta, scale), peer, answers.logps)


@pytest.mark.parametrize("seed", SEEDS)
def test_grpo_controls_disagree(trl: ModuleType, seed: int) -> None:
    answers = random_answers(seed)
    rewards = random_rewards(answers)
    at, peer = answers.logps, theirs(trl, answers, rewards)
    disagree(ours(answers, rewards, beta=0.5), peer, at)
    disagree(ours(answers, -rewards), peer, at)
    disagree(ours(answers, rewards, scale="none"), peer, at)
    for changed in (
        {"loss_type": "bnpo"},
        {"loss_type": "dr_grpo"},
        {"importance_sampling_level": "sequence"},
        {"epsilon_high": 0.05},
    ):
        disagree(ours(answers, rewards), theirs(trl, answers, rewards, **changed), at)


def their_surrogate(trl: ModuleType, answers: Answers, advantage: Tensor, **changed: Any) -> Loss:
    """TRL's clipped surrogate with one advantage a token, summed over tokens: PPO's policy loss."""
    rewards = random_rewards(answers)
    trainer = trainer_of(answers, rewards, **({"loss_type": "luspo", "beta": 0.0} | changed))
    inputs = sample_and_score(trl.GRPOTrainer, trainer, answers) | {"advantages": advantage}
    return lambda logps: trl.GRPOTrainer._compute_loss(trainer, model(logps), inputs)


def our_surrogate(answers: Answers, advantage: Tensor) -> Loss:
    return lambda logps: ppo_policy_loss(logps, answers.old, advantage, answers.mask, CLIP).mean()


@pytest.mark.parametrize("seed", SEEDS)
def test_ppo_surrogate_agrees(trl: ModuleType, seed: int) -> None:
    answers = random_answers(seed)
    advantage = answers.normal(*answers.mask.shape)
    assert_every_side_of_the_clip(answers, advantage)
    agree(our_surrogate(answers, advantage), their_surrogate(trl, answers, advantage), answers.logps)


@pytest.mark.parametrize("seed", SEEDS)
def test_ppo_surrogate_controls_disagree(trl: ModuleType, seed: int) -> None:
    answers = random_answers(seed)
    at, advantage = answers.logps, answers.normal(*answers.mask.shape)
    peer = their_surrogate(trl, answers, advantage)
    disagree(our_surrogate(answers, -advantage), peer, at)
    disagree(
        our_surrogate(answers, advantage), their_surrogate(trl, answers, advantage, loss_type="grpo"), at
    )
    disagree(
        our_surrogate(answers, advantage), their_surrogate(trl, answers, advantage, epsilon_low=0.05), at
    )
