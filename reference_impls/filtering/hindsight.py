r"""Hindsight: Chain of Hindsight (CoH) and hindsight instruction relabelling (HIR).

Papers: liu2024chain, zhang2023wisdom. Provenance: per the official code (forhaoliu/chain-of-hindsight at 9f55cea;
tianjunz/HIR at b598587, ``offline_trainer.py``), with what is left out below.

*CoH* writes both answers of a pair into one text with words that say how good they are, in either order, or one of
them alone; the loss counts the tokens of answers only, given all that precedes them:

$$L(\theta) = -\sum_t \log \pi_\theta(y_{1,t} \mid c_1, x, y_{1,<t})
              -\sum_t \log \pi_\theta(y_{2,t} \mid c_1, x, y_1, c_2, y_{2,<t}),$$

$(c_1, y_1), (c_2, y_2)$ being ("bad", $y_l$), ("good", $y_w$) or the other way round. Tokens of the earlier answer are
hidden at random, so that the later one is not copied from it. At test time the policy is asked for a good answer.
The words stand before the prompt for the first answer. Fitted without error, the policy that is asked for a good
answer is the law of chosen answers, $\pi(y_w) = 2\,\pi_{ref}(y_w)\,\mathbb{E}_{y'}\,\sigma(r(y_w) - r(y'))$: the very
optimum of supervised fine-tuning on them. With a bad answer in view it is
$\propto \pi_{ref}(y_w)\,\sigma(r(y_w) - r(y_l))$.

*HIR* samples answers to the instruction "good", asks whether each one is (a thumb up or down), and gives each the
instruction that it did fulfil; the other one serves as contrast:

$$L(\theta) = -\log \pi_\theta(y|x, c) - \lambda\Bigl[(1 - \epsilon) \log\sigma(m_c - m_{\bar c})
   + \epsilon \log \sigma(m_{\bar c} - m_c)\Bigr], \qquad m_c = \tfrac1{|y|} \log \pi_\theta(y|x, c).$$

$\sigma(m_c - m_{\bar c})$ is the code's $p_c/(p_c + p_{\bar c})$ with $p = e^m$. With $\lambda = 0$ and one round the
optimum for "good" is $\pi_{ref}(y)\,p(\mathrm{up}|y)$, normalised; every further round multiplies once more.

What we leave out of CoH: its pre-training loss (weight 0.01; pairs come from the reference itself), templates that ask
which answer is better, and masks on attention (we hide tokens). Of HIR: label smoothing of the likelihood, the entropy
bonus of 0.001, and its splitting of answers; and we add up an answer's log-probabilities where it averages them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reference_impls.beds.exact import ExactBed
from reference_impls.beds.thumbs import chance_of_thumb_up
from reference_impls.core.conditioned import Asked, ConditionedPolicy
from reference_impls.core.estimators import masked_mean, masked_sum
from reference_impls.core.metrics import expectation
from reference_impls.core.outcome import Observe, Outcome
from reference_impls.core.policies import Policy, sequence_logps
from reference_impls.core.space import PAD
from reference_impls.core.training import cosine_adam, descend
from reference_impls.supervised.sft import chosen_distribution

METHODS = {
    "chain-of-hindsight": {
        "name": "Chain of Hindsight",
        "paper": "liu2024chain",
        "category": "hindsight-and-language-refinement",
        "provenance": "per the official code",
        "feedback": ["pairs", "language"],
        "needs": [],
        "target": "the likelihood of both answers of a pair, each under words for how good it is",
        "yields": "policy",
        "preset": {},
        "knob": None,
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "descriptive",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "forhaoliu/chain-of-hindsight",
                "name": "coh_train_llama",
                "difference": "mixes in pre-training text with weight 0.01; hides no tokens by default",
            },
        ],
        "verify_mutant": {
            "replace": ["torch.where(turn, BAD, GOOD)", "torch.where(turn, GOOD, BAD)"],
            "why": "the first answer's word is the wrong one, so that asking for a good answer brings bad ones",
        },
    },
    "hir": {
        "name": "Hindsight instruction relabelling (HIR)",
        "paper": "zhang2023wisdom",
        "category": "hindsight-and-language-refinement",
        "provenance": "per the official code",
        "feedback": ["binary", "language"],
        "needs": ["online-samples"],
        "target": "the likelihood of own answers under the instruction that they fulfil, told from the other one",
        "yields": "policy",
        "preset": {"data": "thumbs", "steps": 120, "lr": 1e-3},
        "knob": {"name": "rounds", "values": [1, 2, 4, 8]},
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
        "counterparts": [
            {
                "library": "tianjunz/HIR",
                "name": "offline_trainer.py",
                "difference": "averages log-probabilities over tokens, smooths labels, adds entropy",
            },
        ],
        "verify_mutant": {
            "replace": ["torch.where(good, GOOD, BAD)", "torch.where(good, BAD, GOOD)"],
            "why": "answers get the instruction that they did not fulfil",
        },
    },
}

GOOD, BAD = 0, 1
"""The two words, by number."""
EXAMPLES = 8
"""Bad answers in view of which a good one is asked for, to measure what a chain does at test time."""


@dataclass(frozen=True)
class HindsightConfig:
    """Defaults for the exact bed."""

    data: Literal["pairs", "thumbs"] = "pairs"
    """Pairs of reference answers in a chain, or the policy's own answers with a thumb each."""
    labels: int = 2000
    """Pairs or thumbs."""
    chains: float = 0.5
    """Pairs: share of the texts that hold both answers; the others hold one."""
    hidden: float = 0.05
    """Pairs: at most this share of the earlier answer's tokens is hidden (code: off unless it is asked for)."""
    rounds: int = 4
    """Thumbs: batches of fresh answers, the first from the reference."""
    contrast: float = 1.0
    """Thumbs: weight of the contrast between the instructions, lambda (code: 1)."""
    smoothing: float = 0.2
    """Thumbs: epsilon of the contrast (code: 0.2)."""
    learn_from: Literal["all", "good"] = "all"
    """Thumbs: all answers, or those alone whose thumb is up, without contrast."""
    steps: int = 200
    batch: int = 64
    lr: float = 2e-3


def chain(first: Tensor, word: Tensor, second: Tensor, alone: Tensor) -> tuple[Tensor, Tensor]:
    """The text after the first word and the prompt, and 1 on what counts in the loss: both (texts, 2 tokens + 1).

    ``first`` and ``second`` (texts, tokens) are answers, ``word`` (texts, 1) stands between them; where ``alone``
    (texts,) is true the text ends with the first answer.
    """
    rest = torch.cat([word, second], 1).masked_fill(alone[:, None], PAD)
    counted = torch.cat([torch.zeros_like(word), torch.ones_like(second)], 1) * (rest != PAD)
    return torch.cat([first, rest], 1), torch.cat([(first != PAD).long(), counted], 1).to(
        torch.get_default_dtype()
    )


def coh_loss(logps: Tensor, counted: Tensor) -> Tensor:
    """Negative log-likelihood of a text's answers: log-probabilities and 1 or 0, (texts, tokens) -> (texts,)."""
    return -masked_sum(logps, counted)


def hir_loss(fulfilled: Tensor, other: Tensor, mask: Tensor, contrast: float, smoothing: float) -> Tensor:
    """HIR's loss of each answer: token log-probabilities under both instructions, (answers, tokens) -> (answers,)."""
    lead = masked_mean(fulfilled, mask) - masked_mean(other, mask)
    told_apart = (1 - smoothing) * logsigmoid(lead) + smoothing * logsigmoid(-lead)
    return -masked_sum(fulfilled, mask) - contrast * told_apart


def fulfilled_law(reference: Tensor, chance: Tensor) -> Tensor:
    """Log-probabilities given that the thumb is up: log-probabilities and chances (prompts, sequences) -> the same."""
    return (reference + chance.log()).log_softmax(-1)


def train(bed: ExactBed, config: HindsightConfig, seed: int, observe: Observe) -> Outcome:
    """Fit a policy that reads words to answers under words, and ask it for good ones."""
    draw = bed.generator(seed)
    policy = ConditionedPolicy(bed.reference, 2)
    optimiser, schedule = cosine_adam(policy.parameters(), config.lr, config.steps)
    step_loss = _chains if config.data == "pairs" else _thumbs
    for step, loss in zip(range(1, config.steps + 1), step_loss(bed, config, policy, draw), strict=False):
        descend(loss, policy, optimiser)
        schedule.step()
        observe(step, lambda: bed.logps(Asked(policy, GOOD)))

    logps, rows = bed.logps(Asked(policy, GOOD)), bed.train_rows
    bad = bed.logps(Asked(policy, BAD))[rows]
    measures = {"asked_bad": float(expectation(bad, bed.gold[rows]).mean())}
    optimum = None
    if config.data == "pairs":
        optimum = chosen_distribution(bed.reference_logps, bed.utility)
        measures["after_bad"] = _after_bad(bed, policy, draw)
    elif config.rounds == 1 and (not config.contrast or config.learn_from == "good"):
        optimum = fulfilled_law(bed.reference_logps, chance_of_thumb_up(bed, 0.5, 0.0))
    return Outcome(logps=logps, optimum=optimum, divergence="forward", measures=measures)


def _chains(
    bed: ExactBed, config: HindsightConfig, policy: ConditionedPolicy, draw: torch.Generator
) -> Iterator[Tensor]:
    """Losses of Chain of Hindsight, batch after batch."""
    data = bed.preference_pairs(config.labels, draw)

    def chance(*shape: int) -> Tensor:
        return torch.rand(shape, generator=draw, device=bed.device)

    while True:
        pairs = data.batch(config.batch, draw)
        n = len(pairs)
        turn, alone = chance(n) < 0.5, chance(n) >= config.chains
        first = torch.where(turn[:, None], pairs.rejected, pairs.chosen)
        second = torch.where(turn[:, None], pairs.chosen, pairs.rejected)
        prompts = bed.prompts[pairs.prompts]
        opening = torch.cat([policy.word(torch.where(turn, BAD, GOOD), prompts), prompts], 1)
        tokens, counted = chain(first, policy.word(torch.where(turn, GOOD, BAD), prompts), second, alone)
        seen = tokens.clone()
        gone = (chance(*first.shape) < config.hidden * chance(n, 1)) & ~alone[:, None]
        seen[:, : first.shape[1]] = first.masked_fill(gone, PAD)
        logps = policy.next_logps(opening, seen)
        written = (tokens - 1).clamp(0, bed.space.actions - 1)
        yield coh_loss(logps.gather(-1, written[..., None]).squeeze(-1), counted).mean()


def _thumbs(
    bed: ExactBed, config: HindsightConfig, policy: ConditionedPolicy, draw: torch.Generator
) -> Iterator[Tensor]:
    """Losses of hindsight relabelling, batch after batch."""
    likes = chance_of_thumb_up(bed, 0.5, 0.0)
    every, n = -(-config.steps // config.rounds), config.labels // config.rounds
    for step in range(config.steps):
        if step % every == 0:
            writer: Policy = Asked(policy, GOOD) if step else bed.reference
            rows = bed.sample_prompts(n, draw)
            answers = bed.sample(writer, rows, draw)
            up = likes[rows, bed.space.index(answers)]
            good = torch.rand(n, generator=draw, device=bed.device) < up
            bed.cost["labels"] += n
            pool = torch.arange(n, device=bed.device) if config.learn_from == "all" else good.nonzero()[:, 0]
        picks = pool[torch.randint(len(pool), (config.batch,), generator=draw, device=bed.device)]
        prompts, tokens = bed.prompts[rows[picks]], answers[picks]
        word = torch.where(good, GOOD, BAD)[picks]
        mask = (tokens != PAD).float()
        fulfilled = policy.token_logps(torch.cat([policy.word(word, prompts), prompts], 1), tokens)
        if config.learn_from == "good" or not config.contrast:
            yield hir_loss(fulfilled, fulfilled, mask, 0.0, 0.0).mean()
            continue
        other = policy.token_logps(torch.cat([policy.word(1 - word, prompts), prompts], 1), tokens)
        yield hir_loss(fulfilled, other, mask, config.contrast, config.smoothing).mean()


def _after_bad(bed: ExactBed, policy: ConditionedPolicy, draw: torch.Generator) -> float:
    """Gold reward of a good answer asked for in view of a reference answer called bad, on training prompts."""
    rows = bed.train_rows.repeat(EXAMPLES)
    prompts, shown = bed.prompts[rows], bed.sample(bed.reference, rows, draw)
    words = [policy.word(word, prompts) for word in (BAD, GOOD)]
    context = torch.cat([words[0], prompts, shown, words[1]], 1)
    with torch.no_grad():
        logps = sequence_logps(policy, context, bed.space)
    return float(expectation(logps, bed.gold[rows]).mean())
