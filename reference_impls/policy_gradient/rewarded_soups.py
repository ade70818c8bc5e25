r"""Rewarded soups: one policy for each goal, then any weighting of the goals by averaging their weights.

Paper: rame2023rewarded. Provenance: per the official code for the average (alexrame/rewardedsoups at
1f4aef4, ``get_wa_model`` in ``captioning/scripts/test.py``); the policies are tuned by RLOO here.

From one reference a policy $\theta_k$ is tuned for each reward $r_k$ alone, $\mathbb{E}[r_k] - \beta\,\mathrm{KL}$.
For weights $w$ that are only named afterwards the policy has the weights

$$\theta_w = \sum_k w_k\,\theta_k.$$

What it should approximate is known. The optimum for $\sum_k w_k r_k$ is the geometric mixture of the optima for each
reward, $\pi_w \propto \prod_k \pi_k^{w_k}$, since every $\pi_k \propto \pi_{ref}\,e^{r_k/\beta}$. Averaged weights
average log-probabilities only as far as these are linear in the weights between the two policies. Three values of
$J_w = \mathbb{E}_\pi[\sum_k w_k r_k] - \beta\,\mathrm{KL}$ are reported at each weighting: of the soup, of the
geometric mixture of the same two trained policies (no loss by averaging weights, the same loss by training), and of the
optimum.

``names="exchanged"`` renames the second policy's hidden units and exchanges its attention heads. It computes the same
function and has the same value; but its weights no longer correspond to the first's, as they do by their common start.

What we leave out: more than two goals, diffusion and other models, and coefficients fitted on held-out data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.safety import scalarised
from reference_impls.core.estimators import leave_one_out_advantage, regularised_reward
from reference_impls.core.metrics import expectation, kl
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import TransformerPolicy, trainable_copy
from reference_impls.core.training import cosine_adam, descend
from reference_impls.policy_gradient.reinforce import reinforce_loss

METHODS = {
    "rewarded-soups": {
        "name": "Rewarded soups",
        "paper": "rame2023rewarded",
        "category": "multi-objective-alignment",
        "provenance": "per the official code",
        "feedback": ["scalar", "binary"],
        "needs": ["reference", "reward-model", "online-samples"],
        "target": "J_beta of w times help plus (1 - w) times safety, for a w that is named after training",
        "yields": "policy",
        "preset": {},
        "bed": {"horizon": 4, "conflict": 0.7},
        "knob": None,
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["weight * state[name]", "state[name]"],
            "why": "weights are added up instead of averaged",
        },
    },
}

WEIGHTS = (0.25, 0.5, 0.75)
"""Weights of help at which soups are served."""


@dataclass(frozen=True)
class SoupConfig:
    """Defaults for the exact bed; lr is RLOO's."""

    help_weight: float = 0.5
    """Weight of help, w, of the soup that counts as the result; safety has the rest."""
    names: Literal["kept", "exchanged"] = "kept"
    """Whether the second policy's hidden units keep their places (exchanged: a control)."""
    beta: float = 0.5
    prompts: int = 8
    samples: int = 16
    """Answers per prompt."""
    steps: int = 200
    """Updates, half of them for each policy."""
    lr: float = 2e-3


def soup(states: Sequence[dict[str, Tensor]], weights: Sequence[float]) -> dict[str, Tensor]:
    """The weighted sum of every parameter over models of one architecture: state dictionaries -> one."""
    found = {}
    for name in states[0]:
        parts = [weight * state[name] for weight, state in zip(weights, states, strict=True)]
        found[name] = torch.stack(parts).sum(0)
    return found


def geometric_mixture(logps: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """log-probabilities of the normalised weighted product of laws: each (prompts, sequences) -> the same."""
    mixed = torch.stack([weight * law for weight, law in zip(weights, logps, strict=True)]).sum(0)
    return mixed.log_softmax(-1)


def renamed(state: dict[str, Tensor], orders: Sequence[Tensor], heads: int) -> dict[str, Tensor]:
    """The same network with its parts in other places.

    The hidden units of each feed-forward layer take the order given, (width,) for each layer; attention heads are
    turned round.
    """
    found = dict(state)
    for layer, order in enumerate(orders):
        place = f"model.layers.{layer}."
        for name in ("mlp.gate_proj.weight", "mlp.up_proj.weight"):
            found[place + name] = state[place + name][order]
        found[place + "mlp.down_proj.weight"] = state[place + "mlp.down_proj.weight"][:, order]
        for part in "qkv":
            name = f"{place}self_attn.{part}_proj.weight"
            found[name] = state[name].unflatten(0, (heads, -1)).flip(0).flatten(0, 1)
        name = f"{place}self_attn.o_proj.weight"
        found[name] = state[name].unflatten(1, (heads, -1)).flip(1).flatten(1, 2)
    return found


def value(logps: Tensor, reference: Tensor, reward: Tensor, beta: float) -> Tensor:
    """J_beta, E[reward] - beta KL, as a mean over prompts: three tables (prompts, sequences) -> a scalar."""
    return (expectation(logps, reward) - beta * kl(logps, reference)).mean()


def train(bed: ExactBed, config: SoupConfig, seed: int, observe: Observe) -> Outcome:
    """Tune a policy for help and one for safety, then serve soups of both."""
    draw = bed.generator(seed)
    tuned: list[TransformerPolicy] = []
    for first, weight in ((0, 1.0), (config.steps // 2, 0.0)):
        reward = scalarised(bed.gold, bed.safe, weight)
        tuned.append(_tuned(bed, config, reward, draw, first, observe))
    states = [dict(policy.state_dict()) for policy in tuned]
    if config.names == "exchanged":
        widths = [len(w) for name, w in states[1].items() if name.endswith("mlp.up_proj.weight")]
        orders = [torch.randperm(width, generator=draw, device=bed.device) for width in widths]
        states[1] = renamed(states[1], orders, tuned[1].model.config.num_attention_heads)

    ends = [bed.logps(policy) for policy in tuned]
    served = trainable_copy(bed.reference)
    soups = {}
    for weight in (*WEIGHTS, config.help_weight):
        served.load_state_dict(soup(states, (weight, 1 - weight)))
        soups[weight] = bed.logps(served)
    measures = {}
    rows = bed.train_rows
    for weight in WEIGHTS:
        reward = scalarised(bed.gold, bed.safe, weight)
        for name, logps in (
            ("soup", soups[weight]),
            ("swapped", soups[1 - weight]),
            ("mixture", geometric_mixture(ends, (weight, 1 - weight))),
            ("best", bed.optimum(reward, config.beta)),
            ("help_alone", ends[0]),
            ("safety_alone", ends[1]),
        ):
            found = value(logps[rows], bed.reference_logps[rows], reward[rows], config.beta)
            measures[f"{name}_at_{100 * weight:.0f}"] = float(found)
        for name, goal in (("help", bed.gold), ("safe", bed.safe)):
            reached = expectation(soups[weight][rows], goal[rows]).mean()
            measures[f"soup_{name}_at_{100 * weight:.0f}"] = float(reached)
    wanted = scalarised(bed.gold, bed.safe, config.help_weight)
    return Outcome(
        logps=soups[config.help_weight],
        optimum=bed.optimum(wanted, config.beta),
        measures=measures,
    )


def _tuned(
    bed: ExactBed, config: SoupConfig, reward: Tensor, draw: torch.Generator, before: int, observe: Observe
) -> TransformerPolicy:
    """A copy of the reference tuned for one reward, in half of the updates."""
    policy, steps = trainable_copy(bed.reference), config.steps // 2
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, steps)
    for step in range(1, steps + 1):
        rows = bed.sample_prompts(config.prompts, draw).repeat_interleave(config.samples)
        tokens = bed.sample(policy, rows, draw)
        mask = (tokens != 0).float()
        logps = policy.token_logps(bed.prompts[rows], tokens)
        scores = reward[rows, bed.space.index(tokens)]
        reference = bed.reference_token_logps(rows, tokens)
        worth = regularised_reward(scores, logps, reference, mask, config.beta)
        advantage = leave_one_out_advantage(worth.view(config.prompts, config.samples)).flatten()
        descend(reinforce_loss(logps, mask, advantage).mean(), policy, optimiser)
        schedule.step()
        observe(before + step, lambda: bed.logps(policy))
    return policy
