r"""Generative reward models: the reward is read off a word that a language model says.

Papers: zhang2025generative (GenRM: one answer, "yes" or "no"), mahan2024generative (two answers, "A" or "B").
Provenance: reconstruction, after expositions of the papers; no official code was found.

The *verifier* reads a prompt and an answer and is asked for the next word. It is a language model fine-tuned on
verdicts, yes for the chosen and no for the rejected answer of each pair, and at the same time on writing the chosen
ones:

$$L = -\log p_\phi(v \mid x, y) + \lambda \cdot \left(-\log p_\phi(y_w \mid x)\right), \qquad
r(x, y) = \log p_\phi(\mathrm{yes} \mid x, y) - \log p_\phi(\mathrm{no} \mid x, y).$$

From pairs it learns how often an answer wins: the optimum is $\mathrm{logit}\, E_{y'} \sigma(r^*(y) - r^*(y'))$, an
increasing function of the reward and not the reward, which Bradley and Terry's likelihood finds.

The *judge* reads both answers and says which is better. To give one answer a score it first writes another, $y'_i$, as
its own idea of one, and compares, $K$ times:

$$r(x, y) = \frac1K \sum_{i=1}^{K} f\!\left(p_\phi(A \mid x, y, y'_i)\right), \quad y'_i \sim \pi_{ref}(\cdot \mid x),$$

with $f$ the log-odds, the chance itself, or its rounding (a majority vote). A judge can prefer a place: if $o_1$ are
its log-odds for the first place in one order and $o_2$ in the other, $\frac12(o_1 + o_2)$ is its bias and
$\frac12(o_1 - o_2)$ what is left of its verdict when it is asked both ways.

What we leave out: rationales in words, which is what these models are for. Ours is a language of four symbols in which
nothing can be argued; the answer that the judge writes for comparison is the nearest thing to a thought. So this shows
what the change of the output does, the averaging of sampled verdicts, and the bias of places, and nothing about
reasoning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from reference_impls.beds.exact import ExactBed, Pairs
from reference_impls.beds.fresh_pairs import ordered_rightly
from reference_impls.core.metrics import best_of_n_reward
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import ScalarTransformer, TransformerPolicy, _Trunk
from reference_impls.core.space import SequenceSpace
from reference_impls.core.training import cosine_adam, descend
from reference_impls.reward_models.bradley_terry import bradley_terry_loss

METHODS = {
    "generative-verifier": {
        "name": "Generative verifier (GenRM)",
        "paper": "zhang2025generative",
        "category": "generative-reward-models",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of verdicts on single answers: the log-odds of winning, read as ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"reads": "one"},
        "bed": {"vocab": 4, "horizon": 3},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["said[:, 0] - said[:, 1]", "said[:, 1] - said[:, 0]"],
            "why": "the chance of a no is taken for the score",
        },
    },
    "generative-judge": {
        "name": "Generative judge of pairs",
        "paper": "mahan2024generative",
        "category": "generative-reward-models",
        "provenance": "reconstruction",
        "feedback": ["pairs"],
        "needs": [],
        "target": "the likelihood of verdicts on pairs, averaged over comparisons and read as ref * exp(r / beta)",
        "yields": "reward",
        "preset": {"reads": "two", "lr": 3e-3},
        "bed": {"vocab": 4, "horizon": 3},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [],
        "verify_mutant": {
            "replace": ["said[:, 0] - said[:, 1]", "said[:, 1] - said[:, 0]"],
            "why": "the chance that the other answer is better is taken for the score",
        },
    },
}

BEST_OF = 16
CHUNK = 4096


@dataclass(frozen=True)
class GenerativeConfig:
    """Defaults for a small exact bed."""

    reads: Literal["one", "two", "score"] = "one"
    """A verifier of one answer, a judge of two, or for comparison a scalar head with Bradley and Terry's loss."""
    joint: float = 0.25
    """lambda: weight of the likelihood of the chosen answers; only for the verifier."""
    votes: int = 4
    """K: answers that the judge writes to compare with."""
    vote: Literal["odds", "chance", "majority"] = "odds"
    """What is averaged over them."""
    orders: int = 2
    """1 shows the answer to be scored first, 2 asks in both orders."""
    winner_first: float = 0.5
    """Share of training pairs that show the winner first; anything but a half teaches the judge a place."""
    labels: int = 2000
    """Labelled pairs."""
    steps: int = 200
    batch: int = 64
    """Pairs per update."""
    lr: float = 1e-3


def verdict_loss(logits: Tensor, verdicts: Tensor) -> Tensor:
    """Negative log-likelihood of the word said: logits (n, words) and words by number (n,) -> (n,), in nats."""
    return -logits.log_softmax(-1).gather(-1, verdicts[:, None]).squeeze(-1)


def generative_loss(verdicts: Tensor, writing: Tensor, joint: float) -> Tensor:
    """Verdicts' loss and, weighed by ``joint``, that of the chosen answers' tokens: means of any two shapes -> ()."""
    return verdicts.mean() + joint * writing.mean()


def both_orders(first: Tensor, second: Tensor) -> Tensor:
    """Log-odds for an answer when shown first, and for its rival when that is: what is left without the place."""
    return (first - second) / 2


def place_bias(first: Tensor, second: Tensor) -> Tensor:
    """The same log-odds: what the first place is worth, whoever stands there."""
    return (first + second) / 2


def tally(odds: Tensor, vote: str) -> Tensor:
    """Several verdicts in one score: log-odds (votes, ...) -> (...).

    Raises ValueError for a vote that is none of odds, chance and majority.
    """
    if vote == "odds":
        return odds.mean(0)
    if vote == "chance":
        return torch.sigmoid(odds).mean(0)
    if vote == "majority":
        return (odds > 0).to(odds.dtype).mean(0)
    raise ValueError(f"unknown vote {vote!r}; choose odds, chance or majority")


class Judge(_Trunk):
    """The reference's language model with a further symbol to read, the question, and two further words to say."""

    def __init__(self, space: SequenceSpace, attributes: int) -> None:
        super().__init__(space, attributes + 1)
        self.question = 1 + space.actions + 2 * attributes
        self.words = nn.Linear(self.model.config.hidden_size, space.actions + 2, bias=False)

    @classmethod
    def from_policy(cls, policy: TransformerPolicy) -> Judge:
        """Starts as the policy: its trunk, and its head for the words that it knows."""
        judge = cls(policy.space, policy.attributes).to(next(policy.parameters()).device)
        state = judge.model.state_dict()
        for name, weights in policy.model.state_dict().items():
            state[name][: len(weights)] = weights
        judge.model.load_state_dict(state)
        with torch.no_grad():
            judge.words.weight[: policy.space.actions] = policy.head.weight
        return judge

    def logits(self, prompts: Tensor, *answers: Tensor) -> Tensor:
        """Of every word after the prompt's last token and each later one: (n, 1 + tokens, words)."""
        asked = torch.full((len(prompts), 1), self.question, device=prompts.device)
        return self.words(self.hidden(prompts, torch.cat([part for a in answers for part in (a, asked)], 1)))

    def odds(self, prompts: Tensor, *answers: Tensor) -> Tensor:
        """Log-odds of the first of both verdicts: (n,)."""
        said = self.logits(prompts, *answers)[:, -1, -2:]
        return said[:, 0] - said[:, 1]


def train(bed: ExactBed, config: GenerativeConfig, seed: int, observe: Observe) -> Outcome:
    """Fine-tune a copy of the reference to say verdicts, then have it score every answer."""
    draw = bed.generator(seed)
    model: Judge | ScalarTransformer = Judge.from_policy(bed.reference)
    if config.reads == "score":
        model = ScalarTransformer.from_policy(bed.reference)
    optimiser, schedule = cosine_adam(model.requires_grad_(True).parameters(), config.lr, config.steps)
    data = bed.preference_pairs(config.labels, draw)
    quick = replace(config, votes=1, orders=1)

    for step in range(1, config.steps + 1):
        loss = loss_of(bed, model, data.batch(config.batch, draw), config, draw)
        descend(loss, model, optimiser)
        schedule.step()
        observe(step, lambda: bed.optimum(scored(bed, model, quick, seed)))

    scores = scored(bed, model, config, seed)
    rows = bed.train_rows
    measures = {
        "gold_best_of_16": best_of_n_reward(bed.reference_logps[rows], scores[rows], bed.gold[rows], BEST_OF)
    }
    for name, those in (("", bed.train_rows), ("heldout_", bed.heldout_rows)):
        measures[f"{name}accuracy"] = ordered_rightly(bed, scores, bed.gold, those, seed + 1)
    if isinstance(model, Judge) and config.reads == "two":
        measures |= places(bed, model, seed)
    optimum = log_odds_of_winning(bed) if config.reads == "one" else bed.utility
    known = config.reads != "two" or config.vote == "odds"
    return Outcome(
        logps=bed.optimum(scores),
        optimum=bed.optimum(optimum) if known else None,
        scores=scores,
        measures=measures,
    )


def loss_of(
    bed: ExactBed,
    model: Judge | ScalarTransformer,
    pairs: Pairs,
    config: GenerativeConfig,
    draw: torch.Generator,
) -> Tensor:
    """The loss on a batch of pairs, by what the model reads."""
    prompts, n, yes = bed.prompts[pairs.prompts], len(pairs), bed.space.actions
    twice = prompts.repeat(2, 1), torch.cat([pairs.chosen, pairs.rejected])
    if isinstance(model, ScalarTransformer):
        return bradley_terry_loss(*model.scores(*twice).chunk(2)).mean()
    if config.reads == "one":
        logits = model.logits(*twice)
        verdicts = torch.tensor([yes, yes + 1], device=bed.device).repeat_interleave(n)
        real = pairs.chosen > 0
        tokens = verdict_loss(logits[:n, : bed.space.horizon][real], pairs.chosen[real] - 1)
        return generative_loss(verdict_loss(logits[:, -1], verdicts), tokens, config.joint)
    first = torch.rand(n, generator=draw, device=bed.device) < config.winner_first
    shown = (
        torch.where(first[:, None], pairs.chosen, pairs.rejected),
        torch.where(first[:, None], pairs.rejected, pairs.chosen),
    )
    return verdict_loss(model.logits(prompts, *shown)[:, -1], yes + (~first).long()).mean()


def log_odds_of_winning(bed: ExactBed) -> Tensor:
    """Log-odds that an answer wins against one from the reference: (prompts, sequences)."""
    law = bed.reference_logps.exp()
    chances = torch.sigmoid(bed.utility[:, :, None] - bed.utility[:, None])
    return torch.logit((chances * law[:, None]).sum(-1))


@torch.no_grad()
def scored(bed: ExactBed, model: Judge | ScalarTransformer, config: GenerativeConfig, seed: int) -> Tensor:
    """The score of every answer: (prompts, sequences)."""
    if isinstance(model, ScalarTransformer):
        return model.all_scores(bed.prompts)
    shape = len(bed.prompts), len(bed.space)
    rows = torch.arange(shape[0], device=bed.device).repeat_interleave(shape[1])
    answers = bed.tokens.repeat(shape[0], 1)
    if config.reads == "one":
        return said(bed, model, rows, answers).view(shape)
    draw = bed.generator(seed + 2)
    found = []
    for _ in range(config.votes):
        drawn = torch.multinomial(bed.reference_logps.exp(), shape[1], replacement=True, generator=draw)
        others = bed.tokens[drawn.flatten()]
        odds = said(bed, model, rows, answers, others)
        if config.orders == 2:
            odds = both_orders(odds, said(bed, model, rows, others, answers))
        found.append(odds)
    return tally(torch.stack(found), config.vote).view(shape)


def said(bed: ExactBed, judge: Judge, rows: Tensor, *answers: Tensor) -> Tensor:
    """Log-odds of many questions, some thousand at a time: (n,)."""
    parts = [
        judge.odds(bed.prompts[rows[i : i + CHUNK]], *(a[i : i + CHUNK] for a in answers))
        for i in range(0, len(rows), CHUNK)
    ]
    return torch.cat(parts)


@torch.no_grad()
def places(bed: ExactBed, judge: Judge, seed: int) -> dict[str, float]:
    """What a judge's verdicts on random pairs owe to the order in which the answers are shown."""
    draw = bed.generator(seed + 3)
    rows = bed.sample_prompts(2000, draw)
    pair = [bed.tokens[place] for place in bed.draw_pairs(rows, draw).T]
    first, second = said(bed, judge, rows, *pair), said(bed, judge, rows, *pair[::-1])
    return {
        "place_bias": float(place_bias(first, second).mean()),
        "place_decides": float((torch.sign(first) == torch.sign(second)).float().mean()),
    }
