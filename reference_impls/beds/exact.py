"""The exact bed: every sequence enumerated, the gold reward known, so every optimum is known too.

A seed draws an instance: a known distribution over answers, a reference policy fitted to it, and a gold
reward. A prompt is two attributes (a, b); distribution and reward depend on both additively, so held-out
prompts are unseen combinations of seen attributes. The gold reward is standardised per prompt under the
reference (mean 0, sd 1) and is not nearly additive over tokens. Preference labels are Bradley-Terry at
temperature 1.

The optimum of J_beta(pi) = E_pi[r] - beta KL(pi || ref) is pi* proportional to ref * exp(r / beta), and
J(pi*) - J(pi) = beta KL(pi || pi*).
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from reference_impls.beds import derivations, games, hacks, rare, raters, safety, tails, untouched, verifier
from reference_impls.beds.proxy_error import with_error
from reference_impls.core.digest import digest
from reference_impls.core.games import equilibrium
from reference_impls.core.metrics import tilted
from reference_impls.core.policies import Policy, TransformerPolicy, frozen, sequence_logps
from reference_impls.core.space import PAD, SequenceSpace
from reference_impls.core.training import cosine_adam

SIMULATORS = {
    "preference_pairs": {
        "feedback": "pairs",
        "gives": "which of two answers a Bradley-Terry annotator prefers",
        "dimensions": {
            "arity": "binary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
    },
    "score": {
        "feedback": "scalar",
        "gives": "the reward of an answer that the policy wrote",
        "dimensions": {
            "arity": "unary",
            "involvement": "observed",
            "granularity": "episode",
            "abstraction": "instance",
            "intent": "evaluative",
            "explicitness": "explicit",
        },
    },
}


@dataclass(frozen=True)
class ExactConfig:
    """What ``--bed-set`` can change."""

    vocab: int = 5
    horizon: int = 5
    end_token: bool = True
    attributes: int = 4
    beta: float = 0.5
    """The bed's own beta: gap_closed is measured against J at this beta."""
    instance: int | None = None
    """Seed of distribution, reward and reference; by default the run's seed."""
    planted_bias: float = 0.0
    """How much annotators over-reward the planted feature (the share of token 1), in gold sd."""
    reward: Literal["gold", "model"] = "gold"
    """What methods that ask for scores are given: the gold reward (an oracle), or a fitted reward model."""
    reward_labels: int = 8000
    """Pairs that the reward model is fitted to."""
    proxy_error: float | None = None
    """Weight of an error in the scores that methods are given, large on rare answers; None is off."""
    reference_steps: int = 150
    length_bias: float | None = None
    """How much annotators over-reward length, in gold sd; None is not at all."""
    conflict: float | None = None
    """Minus the correlation of latent safety and help; None calls every answer safe (see ``beds/safety.py``)."""
    order: Literal["helpfulness", "safety", "mix"] | None = None
    """What annotators order pairs by; None is helpfulness, the gold reward."""
    help_weight: float | None = None
    """Weight of help in the reward that methods are given, the rest being safety; None gives help alone."""
    flag_flips: float | None = None
    """Share of safety flags that annotators get wrong; None is none."""
    rare: float | None = None
    """Reference mass of a planted set of best answers (see ``beds/rare.py``); None plants nothing."""
    tail: float | None = None
    """Zipf exponent of how often an answer is compared (see ``beds/tails.py``); None draws from the reference."""
    raters: Literal["thurstone", "ties", "flips", "cyclic", "mixed"] | None = None
    """How annotators differ from Bradley and Terry's (see ``beds/raters.py``); None is not at all."""
    verifier: float | None = None
    """Share of the reference's answers that a program accepts (see ``beds/verifier.py``): scores are 1 or 0; None
    scores by gold."""
    hack: float | None = None
    """How much a judge over-values the share of symbol 1, in sd; gold is then blind to it (``beds/hacks.py``)."""
    game: float | None = None
    """Strength of the pull to the reference in the game of preferences whose equilibrium is measured (see
    ``beds/games.py``); it needs a small space of answers. None measures none."""
    untouched: int | None = None
    """How many values of the first attribute the reference was fitted to and later training never visits (see
    ``beds/untouched.py``); None keeps every prompt in training."""
    derivation: float | None = None
    """Share of right steps, if answers are derivations (see ``beds/derivations.py``): gold is soundness, and scores
    are 1 for a right result, else 0. None gives graded answers."""
    harmless: float | None = None
    """Share of a derivation's wrong steps that leave its result right; None is none."""


@dataclass(frozen=True)
class Pairs:
    """Preference pairs: prompts (n,) are row numbers, chosen and rejected (n, horizon) are tokens."""

    prompts: Tensor
    chosen: Tensor
    rejected: Tensor

    @property
    def chosen_mask(self) -> Tensor:
        """1.0 on the chosen answers' real tokens: (n, horizon)."""
        return (self.chosen != PAD).float()

    @property
    def rejected_mask(self) -> Tensor:
        """1.0 on the rejected answers' real tokens: (n, horizon)."""
        return (self.rejected != PAD).float()

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.prompts)

    def batch(self, size: int, generator: torch.Generator) -> Pairs:
        """A random batch, drawn without replacement within the batch."""
        if size >= len(self):
            return self
        rows = torch.randperm(len(self), generator=generator, device=generator.device)[:size]
        return Pairs(self.prompts[rows], self.chosen[rows], self.rejected[rows])


class ExactBed:
    """One instance of the bed, with the simulators that methods consume and the exact truth about it."""

    def __init__(self, seed: int, config: ExactConfig | None = None, device: str = "cpu") -> None:
        """Draw the instance; the reference is fitted once (about three seconds) and cached on disk."""
        self.config = config = config or ExactConfig()
        self.seed, self.device = seed, torch.device(device)
        self.beta = config.beta
        self.instance = seed if config.instance is None else config.instance
        self.space = SequenceSpace(config.vocab, config.horizon, config.end_token)
        self.cost = {"labels": 0, "samples": 0, "tokens": 0}

        n, first = config.attributes, self.space.actions + 1
        grid = torch.cartesian_prod(torch.arange(n), torch.arange(n))
        self.prompts = (grid + torch.tensor([first, first + n])).to(self.device)
        on_diagonal = (grid[:, 0] == grid[:, 1]) & (n > 1)
        rows = torch.arange(len(grid))
        self.train_rows = rows[~on_diagonal].to(self.device)
        self.heldout_rows = rows[on_diagonal].to(self.device)

        draw = torch.Generator().manual_seed(self.instance * 7919 + 17)
        self.known_levels = _known_distribution(self.space, grid, n, draw)
        raw = _raw_reward(self.space, grid, n, draw)
        self.reference = self._reference()
        self.reference_logps = self.logps(self.reference)
        self.untouched_rows: Tensor | None = None
        """Prompts that the reference was fitted to and training never visits, if the bed has any."""
        if config.untouched is not None:
            visited = untouched.visited(grid[:, 0].to(self.device), n, config.untouched)
            self.untouched_rows = self.train_rows[~visited[self.train_rows]]
            self.train_rows = self.train_rows[visited[self.train_rows]]
            self.heldout_rows = self.heldout_rows[visited[self.heldout_rows]]
        self.gold = standardise(raw.to(self.device), self.reference_logps)
        self.planted = standardise(_planted_feature(self.space).to(self.device), self.reference_logps)
        if config.hack is not None:
            self.gold = hacks.blind_to(self.gold, self.planted, self.reference_logps)
        self.grades: Tensor | None = None
        """How good each step of each answer is, (prompts, sequences, horizon), if answers are derivations."""
        if config.derivation is not None:
            own = torch.Generator().manual_seed(self.instance * 7919 + 61)
            shares = config.derivation, config.harmless or 0.0
            self.grades = derivations.step_grades(self.space, grid, *shares, own).to(self.device)
            self.gold = standardise(derivations.sound(self.grades), self.reference_logps)
        self.best: Tensor | None = None
        """True on the answers of the planted best set, (sequences,), if the bed has one."""
        if config.rare is not None:
            self.best = rare.rare_set(self.space, self.reference_logps[self.train_rows], config.rare)
            self.gold = rare.with_best_set(self.gold, self.reference_logps, self.best, self.beta)
        self.safe = torch.ones_like(self.gold)
        """1.0 on safe answers, (prompts, sequences): all of them, unless the bed has a conflict."""
        if config.conflict is not None:
            other = _raw_reward(self.space, grid, n, torch.Generator().manual_seed(self.instance * 7919 + 29))
            other = standardise(other.to(self.device), self.reference_logps)
            self.safe = safety.safety_flags(self.gold, other, self.reference_logps, config.conflict)
        self.reward = self.gold
        """The table behind :meth:`score`; the harness puts a fitted reward model's scores here."""
        if config.proxy_error is not None:
            other = _raw_reward(self.space, grid, n, torch.Generator().manual_seed(self.instance * 7919 + 31))
            other = standardise(other.to(self.device), self.reference_logps)
            self.reward = self.centred(with_error(self.gold, other, config.proxy_error))
        if config.help_weight is not None:
            self.reward = safety.scalarised(self.gold, self.safe, config.help_weight)
        if config.verifier is not None:
            share = verifier.shares(grid[:, 0].to(self.device), n, config.verifier)
            self.reward = verifier.passing(self.gold, self.reference_logps, share)
        if self.grades is not None:
            self.reward = derivations.right_results(self.grades)

    # -- the truth -------------------------------------------------------------------------------------

    @cached_property
    def tokens(self) -> Tensor:
        """Every sequence of the space: (sequences, horizon)."""
        return self.space.tokens.to(self.device)

    @cached_property
    def utility(self) -> Tensor:
        """What annotators compare, helpfulness unless ``order`` says otherwise: (prompts, sequences)."""
        if self.config.order == "safety":
            return safety.SHARPNESS * self.safe
        if self.config.order == "mix":
            return safety.mixed_utility(self.help, self.safe, self.reference_logps)
        return self.help

    @cached_property
    def second_utility(self) -> Tensor:
        """What raters who are not of one mind differ in, drawn like the gold reward: (prompts, sequences)."""
        n = self.config.attributes
        grid = torch.cartesian_prod(torch.arange(n), torch.arange(n))
        draw = torch.Generator().manual_seed(self.instance * 7919 + 43)
        return standardise(_raw_reward(self.space, grid, n, draw).to(self.device), self.reference_logps)

    @cached_property
    def preferences(self) -> Tensor:
        """Chance that annotators prefer one answer (rows) to another: (prompts, sequences, sequences)."""
        return games.preference_table(self)

    @cached_property
    def nash(self) -> Tensor:
        """log-probabilities of the equilibrium of the game of preferences at ``game``: (prompts, sequences)."""
        if self.config.game is None:
            raise ValueError("this bed has no game: set game to the strength of its pull to the reference")
        return equilibrium(self.reference_logps, self.preferences, self.config.game).to(self.gold)

    @cached_property
    def pool(self) -> Tensor | None:
        """How often each answer is shown, (prompts, sequences), where comparisons have a long tail."""
        if self.config.tail is None:
            return None
        return tails.pool_law(
            self.reference_logps, self.config.tail, self.generator(self.instance * 7919 + 31)
        )

    @cached_property
    def help(self) -> Tensor:
        """Helpfulness as annotators see it, gold plus their biases: (prompts, sequences)."""
        seen = self.gold + self.config.planted_bias * self.planted
        if self.config.length_bias is None:
            return seen
        lengths = self.space.mask.sum(1).to(self.device)[None].expand_as(self.gold)
        return seen + self.config.length_bias * standardise(lengths, self.reference_logps)

    def optimum(self, reward: Tensor | None = None, beta: float | None = None) -> Tensor:
        """log pi* for a reward table (default gold) and beta (default the bed's): (prompts, sequences)."""
        reward = self.gold if reward is None else reward
        return tilted(self.reference_logps, reward, self.beta if beta is None else beta)

    def known_logps(self) -> Tensor:
        """The distribution that the reference was fitted to: (prompts, sequences)."""
        return self.space.sequence_logps(self.known_levels).to(self.device)

    def further_yardsticks(self, logps: Tensor, rows: Tensor) -> dict[str, float | None]:
        """What a switch of the bed adds to the harness's metrics, over ``rows`` of prompts."""
        found = {} if self.best is None else rare.rare_yardsticks(logps[rows], self.best)
        if self.config.game is not None:
            found |= games.game_yardsticks(self, logps, rows)
        if self.config.verifier is not None:
            lengths = self.space.mask.sum(1).to(self.device)
            found |= verifier.verifier_yardsticks(logps[rows], self.reward[rows], lengths)
        if self.grades is not None:
            whole = derivations.sound(self.grades)[rows]
            found |= derivations.derivation_yardsticks(logps[rows], whole, self.reward[rows])
        if self.config.hack is not None:
            found |= hacks.hack_yardsticks(logps[rows], _planted_feature(self.space)[0].to(self.device))
        if self.untouched_rows is not None and torch.equal(rows, self.train_rows):
            found |= untouched.untouched_yardsticks(
                logps, self.reference_logps, self.known_logps(), self.untouched_rows
            )
        if self.config.conflict is None:
            return found
        return found | safety.safety_yardsticks(
            logps[rows], self.reference_logps[rows], self.gold[rows], self.safe[rows]
        )

    # -- what methods may use --------------------------------------------------------------------------

    def generator(self, seed: int) -> torch.Generator:
        """A random generator on the bed's device."""
        return torch.Generator(self.device).manual_seed(seed)

    def sample_prompts(self, n: int, generator: torch.Generator) -> Tensor:
        """Row numbers of n training prompts drawn uniformly: (n,)."""
        picks = torch.randint(len(self.train_rows), (n,), generator=generator, device=self.device)
        return self.train_rows[picks]

    def sample(self, policy: Policy, rows: Tensor, generator: torch.Generator) -> Tensor:
        """One answer per prompt row from ``policy``, counted as cost: (n, horizon)."""
        tokens = policy.sample(self.prompts[rows], generator)
        self.cost["samples"] += len(tokens)
        self.cost["tokens"] += int((tokens != PAD).sum())
        return tokens

    def score(self, rows: Tensor, tokens: Tensor) -> Tensor:
        """Reward of each answer, as the bed was asked to give it: (n,)."""
        return self.reward[rows, self.space.index(tokens)]

    def preference_pairs(self, n: int, generator: torch.Generator) -> Pairs:
        """n pairs of reference answers on training prompts, labelled by Bradley-Terry annotators."""
        rows = self.sample_prompts(n, generator)
        if n == 0:
            return Pairs(rows, self.tokens[:0], self.tokens[:0])
        return self.compare(rows, self.draw_pairs(rows, generator), generator)

    def draw_pairs(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Two answers for each prompt row, as annotators are shown them, by their places in the space: (n, 2)."""
        if self.pool is not None:
            return torch.multinomial(self.pool[rows], 2, generator=generator)
        laws = (self.reference_logps[block].exp() for block in rows.split(self._at_once(2**28)))
        drawn = [torch.multinomial(law, 2, replacement=True, generator=generator) for law in laws]
        return torch.cat(drawn)

    def compare(self, rows: Tensor, drawn: Tensor, generator: torch.Generator) -> Pairs:
        """Label pairs of answers, ``drawn`` (n, 2) being their places in the space, by Bradley-Terry annotators."""
        n = len(rows)
        chance = self.win_chance(rows, drawn)
        first_wins = torch.rand(n, generator=generator, device=self.device) < chance
        chosen = torch.where(first_wins, drawn[:, 0], drawn[:, 1])
        rejected = torch.where(first_wins, drawn[:, 1], drawn[:, 0])
        self.cost["labels"] += n
        return Pairs(rows, self.tokens[chosen], self.tokens[rejected])

    def win_chance(self, rows: Tensor, drawn: Tensor) -> Tensor:
        """Probability that annotators prefer the first of two answers, ``drawn`` (n, 2) for prompt rows (n,): (n,)."""
        if self.config.order == "mix":
            return safety.mixed_chance(self.help[rows[:, None], drawn], self.safe[rows[:, None], drawn])
        first, second = drawn.T
        difference = self.utility[rows, first] - self.utility[rows, second]
        if self.config.raters is None:
            return torch.sigmoid(difference)
        turn = self.second_utility[rows, first] - self.second_utility[rows, second]
        return raters.win_chance(self.config.raters, difference, turn)

    def logps(self, policy: Policy) -> Tensor:
        """Exact log-probability of every sequence, without gradient: (prompts, sequences)."""
        with torch.no_grad():
            blocks = self.prompts.split(self._at_once(2**21))
            return torch.cat([sequence_logps(policy, block, self.space) for block in blocks])

    def _at_once(self, numbers: int) -> int:
        """How many prompts to treat together, so that a table of them holds about so many numbers: at least one."""
        return max(1, numbers // len(self.space))

    def centred(self, scores: Tensor) -> Tensor:
        """Scores (prompts, sequences) minus their mean under the reference: the shift that pairs leave free."""
        return scores - (self.reference_logps.exp() * scores).sum(-1, keepdim=True)

    def reference_token_logps(self, rows: Tensor, tokens: Tensor) -> Tensor:
        """The reference's log-probability of each token, looked up: (n, horizon)."""
        return self._reference_tokens[rows, self.space.index(tokens)]

    @cached_property
    def _reference_tokens(self) -> Tensor:
        with torch.no_grad():
            blocks = self.prompts.split(self._at_once(2**21))
            return torch.cat([self.space.token_logps(self.reference.level_logps(block)) for block in blocks])

    # -- the reference ---------------------------------------------------------------------------------

    def _reference(self) -> TransformerPolicy:
        """Fit the reference to the known distribution, or load it from the cache."""
        keys = ("vocab", "horizon", "end_token", "attributes", "reference_steps")
        facts = {k: v for k, v in asdict(self.config).items() if k in keys}
        name = digest({**facts, "instance": self.instance, "torch": torch.__version__, "recipe": 1})
        path = cache_directory() / f"reference-{name}.safetensors"
        torch.manual_seed(self.instance * 7919 + 23)
        policy = TransformerPolicy(self.space, self.config.attributes)
        if (state := _load(path, policy)) is not None:
            policy.load_state_dict(state)
        else:
            _fit(policy, self.known_levels, self.prompts.cpu(), self.train_rows.cpu(), self.config)
            _save(dict(policy.state_dict()), path)
        return frozen(policy.to(self.device))


def standardise(values: Tensor, logps: Tensor) -> Tensor:
    """Mean 0 and sd 1 per prompt under the distribution ``logps``; both (prompts, sequences)."""
    law = logps.double().softmax(-1)
    centred = values.double() - (law * values.double()).sum(-1, keepdim=True)
    return (centred / (law * centred**2).sum(-1, keepdim=True).sqrt()).float()


def cache_directory() -> Path:
    """Where fitted references are kept: $RLHF_ATLAS_CACHE or the user's cache folder."""
    root = os.environ.get("RLHF_ATLAS_CACHE") or Path.home() / ".cache" / "rlhf-atlas"
    return Path(root)


def _load(path: Path, policy: TransformerPolicy) -> dict[str, Tensor] | None:
    """The cached weights of ``policy``; None if there are none, or they are damaged or of another model."""
    try:
        state = load_file(path)
    except (OSError, SafetensorError):
        return None
    shapes = {name: weights.shape for name, weights in policy.state_dict().items()}
    return state if {name: weights.shape for name, weights in state.items()} == shapes else None


def _save(state: dict[str, Tensor], path: Path) -> None:
    """Write through a temporary file, so that a reader never sees half of it; a full disk costs the cache only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        os.close(handle)
    except OSError:
        return
    try:
        save_file({k: v.contiguous() for k, v in state.items()}, temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError):
        Path(temporary).unlink(missing_ok=True)


def _known_distribution(
    space: SequenceSpace, grid: Tensor, attributes: int, draw: torch.Generator
) -> list[Tensor]:
    """A bigram law whose logits add a share of each attribute: level t (prompts, vocab**t, actions)."""
    bigram = 0.6 * torch.randn(space.vocab + 1, space.actions, generator=draw)
    by_a = 0.4 * torch.randn(attributes, space.actions, generator=draw)
    by_b = 0.4 * torch.randn(attributes, space.actions, generator=draw)
    shared = by_a[grid[:, 0]] + by_b[grid[:, 1]]
    levels = []
    for prefixes in space.prefixes[: space.horizon]:
        last = prefixes[:, -1] if prefixes.shape[1] else torch.zeros(1, dtype=torch.long)
        logits = bigram[last][None] + shared[:, None]
        if space.end_token and not prefixes.shape[1]:
            logits[..., -1] -= 2.0
        levels.append(logits.log_softmax(-1))
    return levels


def _raw_reward(space: SequenceSpace, grid: Tensor, attributes: int, draw: torch.Generator) -> Tensor:
    """Sums over tokens and over neighbouring pairs of tokens, each with a share of both attributes."""

    def score(unigram: Tensor, bigram: Tensor) -> Tensor:
        tokens = torch.where(space.tokens <= space.vocab, space.tokens, 0)
        singles = unigram[tokens] * (tokens > 0)
        couples = bigram[tokens[:, :-1], tokens[:, 1:]] * (tokens[:, 1:] > 0)
        return singles.sum(1) + couples.sum(1)

    def table() -> Tensor:
        unigram = torch.randn(space.vocab + 1, generator=draw)
        bigram = torch.randn(space.vocab + 1, space.vocab + 1, generator=draw)
        bigram -= bigram.mean(0, keepdim=True) + bigram.mean(1, keepdim=True)
        return score(0.4 * unigram, bigram)

    base = table()
    by_a = torch.stack([table() for _ in range(attributes)])
    by_b = torch.stack([table() for _ in range(attributes)])
    return base[None] + 0.3 * (by_a[grid[:, 0]] + by_b[grid[:, 1]])


def _planted_feature(space: SequenceSpace) -> Tensor:
    """Share of token 1 among a sequence's tokens: (1, sequences)."""
    return ((space.tokens == 1).sum(1) / space.mask.sum(1))[None]


def _fit(
    policy: TransformerPolicy, levels: list[Tensor], prompts: Tensor, rows: Tensor, config: ExactConfig
) -> None:
    """Maximum likelihood on the known distribution over the training prompts, prefix by prefix."""
    space = policy.space
    law = space.sequence_logps(levels).exp()
    draw = torch.Generator().manual_seed(int(prompts.sum()) + config.reference_steps)
    optimiser, schedule = cosine_adam(policy.parameters(), 3e-3, config.reference_steps)
    targets = [level.exp() for level in levels]
    for _ in range(config.reference_steps):
        picks = rows[torch.randint(len(rows), (64,), generator=draw)]
        tokens = space.tokens[torch.multinomial(law[picks], 1, generator=draw).squeeze(1)]
        logps = policy.next_logps(prompts[picks], tokens)
        loss = torch.zeros(())
        rank = torch.zeros(len(tokens), dtype=torch.long)
        for t in range(space.horizon):
            alive = tokens[:, t] > 0
            cross_entropy = -(targets[t][picks, rank] * logps[:, t]).sum(-1)
            loss = loss + (cross_entropy * alive).sum() / len(tokens)
            rank = torch.where(
                alive & (tokens[:, t] <= space.vocab), rank * space.vocab + tokens[:, t] - 1, 0
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
