r"""Online DPO and XPO: label fresh answers in rounds, and fit all labels so far.

Papers: guo2024direct (online DPO) and xie2025exploratory (XPO). Provenance: reconstruction; no authors' code of
XPO is known. Its loss agrees with TRL's ``XPOTrainer`` (huggingface/trl at f2cd577) and OAT's ``XPOLearner``
(sail-sg/oat at c1a074c).

In each round annotators compare two answers to a prompt. Online DPO draws both from the current policy and
minimises DPO's loss. XPO draws $y$ from the policy and $\tilde y$ from the reference, and solves

$$\pi^{(t+1)} = \mathrm{arg\,min}_\pi \sum_{i \le t} \left[
  -\log\sigma\left(\beta \log\frac{\pi(y_w|x)}{\pi_{ref}(y_w|x)} - \beta \log\frac{\pi(y_l|x)}{\pi_{ref}(y_l|x)}\right)
  + \alpha \log \pi(\tilde y|x) \right].$$

The bonus enters a *minimised* loss with a *plus*: it makes what the reference says less likely. With
$\hat r = \beta \log \frac{\pi}{\pi_{ref}} + \hat V$, the reward and value that the policy implies, its mean is
$\frac{\alpha}{\beta}(\mathbb{E}_{\pi_{ref}}[\hat r] - \hat V)$ but for a constant: among policies that fit the labels
alike, the one that promises the highest value wins. By the logit of an answer that mean's gradient is
$\alpha(\pi_{ref} - \pi)$: it vanishes at the start, where $\pi = \pi_{ref}$, and later strengthens whatever the policy
already prefers.

``data = "latest"`` with as many rounds as steps is one gradient step per fresh batch, as in TRL. What we leave out:
the choice of the best iterate at the end (we return the last), several answers per prompt, an AI annotator.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from reference_impls.beds.exact import ExactBed, Pairs
from reference_impls.core.estimators import masked_mean, masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import TransformerPolicy, trainable_copy
from reference_impls.core.space import PAD
from reference_impls.core.training import cosine_adam, descend
from reference_impls.direct_alignment.dpo import dpo_loss

METHODS = {
    "online-dpo": {
        "name": "Online DPO",
        "paper": "guo2024direct",
        "category": "online-preference-optimisation",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference", "online-samples"],
        "target": "J_beta of the annotators' reward, through Bradley-Terry maximum likelihood",
        "yields": "policy",
        "preset": {"opponent": "policy", "alpha": 0.0},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "OnlineDPOTrainer",
                "difference": "one step per batch of fresh pairs; its defaults are beta 0.1 and temperature 0.9",
            },
        ],
        "verify_mutant": {
            "replace": ["config.beta,\n        alpha,", "1.0,\n        alpha,"],
            "why": "with beta = 1 in the loss the policy heads for the optimum of another beta",
        },
    },
    "xpo": {
        "name": "Exploratory preference optimisation (XPO)",
        "paper": "xie2025exploratory",
        "category": "exploratory-preference-optimisation",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference", "online-samples"],
        "target": "J_beta of the annotators' reward, through Bradley-Terry maximum likelihood with optimism",
        "yields": "policy",
        "preset": {"opponent": "reference", "alpha": 0.01},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "TRL",
                "name": "XPOTrainer (experimental, to 1.13)",
                "difference": "none in the loss; one step per batch, alpha 1e-5, beta 0.1, temperature 0.9",
            },
            {
                "library": "OAT",
                "name": "XPOLearner",
                "difference": "none in the loss; alpha 5e-6",
            },
        ],
        "verify_mutant": {
            "replace": ["+ alpha * masked_sum", "- alpha * masked_sum"],
            "why": "with the other sign the bonus holds the policy to what the reference says",
        },
    },
}


@dataclass(frozen=True)
class OnlineConfig:
    """Defaults for the exact bed; neither paper's own values for it are known to us."""

    alpha: float = 0.0
    """Weight of the exploration bonus, per pair; negative values give the wrong sign."""
    opponent: Literal["policy", "reference"] = "policy"
    """Who gives the second answer of each pair."""
    data: Literal["all", "latest"] = "all"
    """Whether updates draw from the pairs of every round so far, or of the latest."""
    beta: float = 0.5
    labels: int = 2400
    """Pairs labelled in all, spread evenly over the rounds."""
    rounds: int = 8
    steps: int = 400
    """Updates in all, spread evenly over the rounds."""
    batch: int = 32
    """Pairs per update."""
    temperature: float = 1.0
    """At which the policy gives its answers; high values give all next tokens alike."""
    entropy: float = 0.0
    """Weight of the mean entropy of the next token, added to the objective."""
    lr: float = 1e-3


def xpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    chosen_mask: Tensor,
    rejected_mask: Tensor,
    bonus_on_chosen: Tensor,
    beta: float,
    alpha: float,
) -> Tensor:
    """DPO's loss of each pair plus alpha times the log-probability of the reference's answer, summed over tokens.

    Arguments up to the masks and ``beta`` as for :func:`~reference_impls.direct_alignment.dpo.dpo_loss`, (pairs,
    tokens); ``bonus_on_chosen`` (pairs,) is True where the chosen answer is the reference's. Returns (pairs,), in
    nats. Source: xie2025exploratory, algorithm 1, as restated in TRL and OAT. With alpha = 0 it is DPO's loss.
    """
    tokens = torch.where(bonus_on_chosen[:, None], chosen, rejected)
    mask = torch.where(bonus_on_chosen[:, None], chosen_mask, rejected_mask)
    preference = dpo_loss(
        chosen, rejected, reference_chosen, reference_rejected, chosen_mask, rejected_mask, beta
    )
    return preference + alpha * masked_sum(tokens, mask)


def implicit_reward_fit(logps: Tensor, reference: Tensor, reward: Tensor, beta: float) -> tuple[float, float]:
    """How well beta log(policy / reference) equals reward minus V*, over all prompts and answers of the reference.

    Arguments are (prompts, sequences); V* = beta log E_ref[exp(reward / beta)] per prompt. Returns the correlation
    and 1 - (mean squared error) / variance, which also notices a wrong scale or level; both are 1 at the optimum.
    """
    weight = reference.exp() / len(reference)
    implicit = beta * (logps - reference)
    truth = reward - beta * (reference + reward / beta).logsumexp(1, keepdim=True)
    x, y = implicit - (weight * implicit).sum(), truth - (weight * truth).sum()
    variance = (weight * y**2).sum()
    correlation = (weight * x * y).sum() / ((weight * x**2).sum() * variance).sqrt().clamp(min=1e-12)
    return float(correlation), float(1 - (weight * (implicit - truth) ** 2).sum() / variance)


def batch_loss(
    policy: TransformerPolicy,
    bed: ExactBed,
    pairs: Pairs,
    bonus_on_chosen: Tensor,
    config: OnlineConfig,
    alpha: float,
) -> Tensor:
    """Mean of :func:`xpo_loss` over the pairs, minus the entropy bonus of the config."""
    answers = torch.cat([pairs.chosen, pairs.rejected])
    laws = policy.next_logps(bed.prompts[pairs.prompts].repeat(2, 1), answers)
    chosen, rejected = laws.gather(-1, (answers - 1).clamp(min=0)[..., None]).squeeze(-1).chunk(2)
    entropy = masked_mean(-(laws.exp() * laws).sum(-1), (answers != PAD).float()).mean()
    losses = xpo_loss(
        chosen,
        rejected,
        bed.reference_token_logps(pairs.prompts, pairs.chosen),
        bed.reference_token_logps(pairs.prompts, pairs.rejected),
        pairs.chosen_mask,
        pairs.rejected_mask,
        bonus_on_chosen,
        config.beta,
        alpha,
    )
    return losses.mean() - config.entropy * entropy


def train(bed: ExactBed, config: OnlineConfig, seed: int, observe: Observe) -> Outcome:
    """In every round label fresh answers, then descend :func:`xpo_loss` on random batches of the pairs so far.

    Raises ValueError if there is not a label and an update for every round.
    """
    if min(config.labels, config.steps) < config.rounds:
        raise ValueError(f"{config.rounds} rounds need at least as many labels and steps")
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    fresh, inner = config.labels // config.rounds, config.steps // config.rounds
    data, bonus_on_chosen = bed.preference_pairs(0, draw), torch.zeros(0, dtype=torch.bool, device=bed.device)
    measures = {}

    for turn in range(config.rounds):
        rows = bed.sample_prompts(fresh, draw)
        speaker = tempered(policy, config.temperature)
        first = bed.sample(speaker, rows, draw)
        second = bed.sample(bed.reference if config.opponent == "reference" else speaker, rows, draw)
        new = bed.compare(rows, torch.stack([bed.space.index(first), bed.space.index(second)], 1), draw)
        kept = slice(0, len(data) if config.data == "all" else 0)
        bonus_on_chosen = torch.cat([bonus_on_chosen[kept], (new.chosen == second).all(1)])
        data = Pairs(*(torch.cat([getattr(data, name)[kept], x]) for name, x in vars(new).items()))

        if turn == 0:
            plain, bonus = (
                gradient(batch_loss(policy, bed, data, bonus_on_chosen, config, a), policy) for a in (0, 1)
            )
            measures["bonus_to_dpo"] = abs(config.alpha) * float((bonus - plain).norm() / plain.norm())
        for step in range(turn * inner + 1, (turn + 1) * inner + 1):
            picks = torch.randint(len(data), (config.batch,), generator=draw, device=bed.device)
            batch = Pairs(*(x[picks] for x in vars(data).values()))
            loss = batch_loss(policy, bed, batch, bonus_on_chosen[picks], config, config.alpha)
            descend(loss, policy, optimiser)
            schedule.step()
            observe(step, lambda: bed.logps(policy))

    logps, known = bed.logps(policy), bed.train_rows
    measures["implicit_correlation"], measures["implicit_r2"] = implicit_reward_fit(
        logps[known], bed.reference_logps[known], bed.utility[known], config.beta
    )
    return Outcome(logps=logps, optimum=bed.optimum(bed.utility, config.beta), measures=measures)


def tempered(policy: TransformerPolicy, temperature: float) -> TransformerPolicy:
    """A copy of the policy whose next-token logits are divided by ``temperature``; the policy itself at 1."""
    if temperature == 1:
        return policy
    speaker = copy.deepcopy(policy)
    with torch.no_grad():
        speaker.head.weight /= temperature
    return speaker


def gradient(loss: Tensor, model: nn.Module) -> Tensor:
    """The gradient by all parameters as one vector."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
