r"""Self-rewarding by implicit rewards: the policy orders its own answers and is trained on that order.

Papers: yuan2024self for the loop, chen2025bootstrapping (DICE) for the judge. Provenance: reconstruction, compared with
DICE's code (sail-sg/dice at 865aa6d: ``generate_dpo_scores.py``, ``generate_lc_paired_set.py``, ``pipeline.sh``). A
written rubric needs a language model; what stands in for it is the reward that a policy trained by DPO implies.

A seed phase fits DPO to people's labels. Then in each round the policy answers each prompt $n$ times and scores itself,

$$\hat r(x, y) = \beta \log\frac{\pi_t(y|x)}{\pi_{ref}(y|x)} - \alpha\,|y|,$$

with $\alpha$ such that the best answers are on average as long as the worst; the best and the worst of each prompt
become a pair, half of each batch is replayed from people's pairs, and the next policy minimises

$$L = -p \log\sigma(m) - (1 - p) \log\sigma(-m), \qquad
  m = \beta \log\frac{\pi(y_w|x)}{\pi_{ref}(y_w|x)} - \beta \log\frac{\pi(y_l|x)}{\pi_{ref}(y_l|x)}.$$

With $p = 1$, as in both papers, the policy is told to be surer of what it thinks already. With the policy's own
probability $p = \sigma(m)$ (``sure = False``) the gradient is zero at the policy that judged: a label one gives oneself
carries no information, only confidence.

In DICE's code both $\pi_{ref}$, in the score and in the loss, are the last round's policy; here they are the policy of
the start, so that the target stays put, and a judge other than oneself (``judge``) can take the same place.

What we leave out: prompts that the model makes itself, a rubric in words, evaluation pairs to teach judging, and a mean
over several judgements of the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed, Pairs
from reference_impls.core.estimators import masked_sum
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import ScalarTransformer, TransformerPolicy, trainable_copy
from reference_impls.core.training import cosine_adam, descend
from reference_impls.reward_models.bradley_terry import bradley_terry_loss

METHODS = {
    "self-rewarding": {
        "name": "Self-rewarding by implicit rewards",
        "paper": "yuan2024self",
        "category": "self-rewarding",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": ["reference", "online-samples"],
        "target": "J_beta of the annotators' reward in the seed phase; later the policy's own order of its answers",
        "yields": "policy",
        "preset": {},
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
                "library": "sail-sg/dice",
                "name": "scripts/run_dice",
                "difference": "score and loss are relative to the last round's policy; the score is not times beta",
            },
        ],
        "verify_mutant": {
            "replace": ["-belief * logsigmoid(margin)", "-(1 - belief) * logsigmoid(margin)"],
            "why": "every pair teaches the opposite of its label, people's included",
        },
    },
}


@dataclass(frozen=True)
class SelfRewardingConfig:
    """Defaults for the exact bed; DICE's values are named where they differ."""

    judge: Literal["self", "model", "gold", "none"] = "self"
    """Who orders fresh answers: the policy, a reward model fitted to the seed labels, the gold reward, or nobody (all
    updates stay with the seed labels)."""
    sure: bool = True
    """Take the judge's order for certain; else its probability is the label."""
    level_lengths: bool = True
    """Choose alpha so that chosen and rejected answers are on average equally long; else alpha is 0."""
    labels: int = 1200
    """People's labels, all of them before the first round."""
    rounds: int = 3
    """DICE: 2."""
    answers: int = 4
    """Answers to each prompt, n (DICE: 16)."""
    prompts: int = 600
    """Prompts, and so pairs, in each round."""
    replay: float = 0.5
    """Share of each batch that comes from people's pairs (DICE: 0.5)."""
    beta: float = 0.5
    """DICE: 0.1."""
    seed_steps: int = 120
    steps: int = 240
    """Updates in all; those after the seed phase are spread evenly over the rounds."""
    batch: int = 32
    """Pairs per update."""
    lr: float = 2.5e-4


def implicit_reward(logps: Tensor, reference: Tensor, mask: Tensor, beta: float) -> Tensor:
    """beta times the log-ratio of each answer: (answers, tokens) three times -> (answers,)."""
    return beta * masked_sum(logps - reference, mask)


def best_and_worst(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Places of the highest and lowest score of each prompt: (prompts, answers) -> (prompts, 1) twice."""
    return scores.argmax(-1, keepdim=True), scores.argmin(-1, keepdim=True)


def length_weight(scores: Tensor, lengths: Tensor, grid: Tensor) -> float:
    """The alpha of ``grid`` for which best and worst by ``scores - alpha * lengths`` are most nearly of one length.

    ``scores`` and ``lengths`` are (prompts, answers). The measure is the absolute mean difference; the first of equals.
    """
    gaps = []
    for alpha in grid:
        best, worst = best_and_worst(scores - alpha * lengths)
        gaps.append((lengths.gather(-1, best) - lengths.gather(-1, worst)).mean().abs())
    return float(grid[torch.stack(gaps).argmin()])


def judged_loss(margin: Tensor, belief: Tensor) -> Tensor:
    """Cross-entropy of each pair, in nats: its margin and the belief that the chosen answer is better, (pairs,)."""
    return -belief * logsigmoid(margin) - (1 - belief) * logsigmoid(-margin)


def margins(policy: TransformerPolicy, bed: ExactBed, pairs: Pairs, beta: float) -> Tensor:
    """Implicit reward of the chosen answers minus that of the rejected: (pairs,)."""
    prompts, tokens = pairs.prompts.repeat(2), torch.cat([pairs.chosen, pairs.rejected])
    logps = policy.token_logps(bed.prompts[prompts], tokens)
    reference = bed.reference_token_logps(prompts, tokens)
    chosen, rejected = implicit_reward(logps, reference, (tokens != 0).float(), beta).chunk(2)
    return chosen - rejected


def judged(
    bed: ExactBed,
    policy: TransformerPolicy,
    table: Tensor,
    config: SelfRewardingConfig,
    draw: torch.Generator,
) -> tuple[Pairs, Tensor, float]:
    """Pairs of the policy's own answers, the judge's belief in each, and alpha; ``table`` is what the judge thinks."""
    n, size = config.prompts, config.answers
    rows = bed.sample_prompts(n, draw)
    tokens = bed.sample(policy, rows.repeat_interleave(size), draw).view(n, size, -1)
    scores = table[rows[:, None], bed.space.index(tokens.flatten(0, 1)).view(n, size)]
    lengths = (tokens != 0).sum(-1).float()
    grid = torch.linspace(-1, 1, 81, device=bed.device)
    alpha = (
        length_weight(scores, lengths, grid[grid.abs().argsort(stable=True)]) if config.level_lengths else 0.0
    )
    shaped = scores - alpha * lengths
    best, worst = best_and_worst(shaped)
    difference = (shaped.gather(-1, best) - shaped.gather(-1, worst)).squeeze(-1)
    told = difference > 0
    each = torch.arange(n, device=bed.device)
    chosen, rejected = tokens[each, best.squeeze(-1)], tokens[each, worst.squeeze(-1)]
    belief = torch.ones_like(difference) if config.sure else torch.sigmoid(difference)
    return Pairs(rows[told], chosen[told], rejected[told]), belief[told], alpha


def seed_model(bed: ExactBed, seeds: Pairs, config: SelfRewardingConfig, draw: torch.Generator) -> Tensor:
    """Centred scores of a reward model fitted to the seed labels, as long as the seed phase: (prompts, sequences)."""
    model = ScalarTransformer.from_policy(bed.reference).requires_grad_(True)
    optimiser, schedule = cosine_adam(model.parameters(), config.lr, config.seed_steps)
    for _ in range(config.seed_steps):
        pairs = seeds.batch(config.batch, draw)
        prompts = bed.prompts[pairs.prompts].repeat(2, 1)
        chosen, rejected = model.scores(prompts, torch.cat([pairs.chosen, pairs.rejected])).chunk(2)
        descend(bradley_terry_loss(chosen, rejected).mean(), model, optimiser)
        schedule.step()
    with torch.no_grad():
        return bed.centred(model.all_scores(bed.prompts))


def examined(bed: ExactBed, table: Tensor, policy: Tensor, seed: int) -> dict[str, float]:
    """How right and how sure a judge is, in per cent, on fresh pairs of the reference's and of the policy's answers.

    ``right`` is the expected agreement with an annotator, ``sure`` the judge's own probability of its verdict.
    """
    found = {}
    for name, law in (("", bed.reference_logps), ("_own", policy)):
        draw = bed.generator(seed + 500)
        rows = bed.sample_prompts(20_000, draw)
        pairs = torch.multinomial(law[rows].exp(), 2, replacement=True, generator=draw)
        said, truth = (values[rows[:, None], pairs].diff()[:, 0] for values in (table, bed.utility))
        chance = torch.where(said == 0, 0.5, torch.sigmoid(truth * said.sign()))
        found[f"right{name}"] = 100 * float(chance.mean())
        found[f"sure{name}"] = 100 * float(torch.sigmoid(said.abs()).mean())
    return found


def train(bed: ExactBed, config: SelfRewardingConfig, seed: int, observe: Observe) -> Outcome:
    """Fit people's labels, then in rounds let the judge order fresh answers and fit its order."""
    draw = bed.generator(seed)
    policy = trainable_copy(bed.reference)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    seeds = bed.preference_pairs(config.labels, draw)
    outside = {"gold": lambda: bed.gold, "model": lambda: seed_model(bed, seeds, config, draw)}
    fixed = outside[config.judge]() if config.judge in outside else None
    inner = (config.steps - config.seed_steps) // config.rounds if config.rounds else 0
    own = round((1 - config.replay) * config.batch) if config.judge != "none" else 0
    measures, step = {}, 0

    for turn in range(config.rounds + 1):
        new: tuple[Pairs, Tensor] | None = None
        if turn and own:
            logps = bed.logps(policy)
            table = config.beta * (logps - bed.reference_logps) if fixed is None else fixed
            pairs, said, measures["alpha"] = judged(bed, policy, table, config, draw)
            new = (pairs, said)
        for _ in range(inner if turn else config.seed_steps):
            share = own if new else 0
            batch = seeds.batch(config.batch - share, draw)
            belief = torch.ones(len(batch), device=bed.device)
            if new:
                picks = torch.randint(len(new[0]), (share,), generator=draw, device=bed.device)
                fresh = vars(new[0]).values()
                batch = Pairs(
                    *(torch.cat([x, y[picks]]) for x, y in zip(vars(batch).values(), fresh, strict=True))
                )
                belief = torch.cat([belief, new[1][picks]])
            loss = judged_loss(margins(policy, bed, batch, config.beta), belief).mean()
            descend(loss, policy, optimiser)
            schedule.step()
            step += 1
            observe(step, lambda: bed.logps(policy))
        logps = bed.logps(policy)
        table = config.beta * (logps - bed.reference_logps)
        measures |= {f"{name}_round{turn}": x for name, x in examined(bed, table, logps, seed).items()}

    return Outcome(logps=bed.logps(policy), measures=measures)
