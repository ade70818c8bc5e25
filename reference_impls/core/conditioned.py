"""Language models that are told something beside the prompt: a level of reward, a word of praise, an earlier answer.

A *word* is a token of its own, numbered after all tokens that the reference knows. What precedes an answer is called
its context: the prompt's two tokens with words, and whole answers, before or after them. A policy that was trained
under words is asked for an answer under one of them; asked so, it is a policy like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reference_impls.core.policies import TransformerPolicy
from reference_impls.core.space import PAD


class ConditionedPolicy(TransformerPolicy):
    """A copy of a policy that knows some words more and takes contexts of any length."""

    def __init__(self, policy: TransformerPolicy, words: int) -> None:
        """The embedding of a new word is drawn with the mean and the deviation of the known ones, as Quark does."""
        super().__init__(policy.space, policy.attributes)
        self.load_state_dict(policy.state_dict())
        embedding = self.model.get_input_embeddings()
        assert isinstance(embedding, nn.Embedding)
        known = embedding.weight.detach()
        self.words = len(known) + torch.arange(words)
        fresh = known.mean(0) + known.std(0) * torch.randn(words, known.shape[1])
        table = nn.Embedding.from_pretrained(torch.cat([known, fresh]), freeze=False, padding_idx=PAD)
        self.model.set_input_embeddings(table)
        self.to(next(policy.parameters()).device).requires_grad_(True)

    def hidden(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Hidden state after the context and after each of ``tokens``: (batch, 1 + tokens, width)."""
        ids = torch.cat([prompts, tokens], 1)
        states = self.model(input_ids=ids, use_cache=False).last_hidden_state
        return states[:, prompts.shape[1] - 1 :]

    def word(self, numbers: Tensor | int, like: Tensor) -> Tensor:
        """Tokens of words by number, (batch,) or one for all, as a column beside ``like`` (batch, ...): (batch, 1)."""
        chosen = self.words.to(like.device)[numbers]
        return chosen.view(-1, 1).expand(len(like), 1)


@dataclass(frozen=True)
class Asked:
    """A conditioned policy under one word that stands before every prompt: a policy (see ``core/policies.py``)."""

    policy: ConditionedPolicy
    word: int

    def context(self, prompts: Tensor) -> Tensor:
        """The word and the prompt: (batch, 2) -> (batch, 3)."""
        return torch.cat([self.policy.word(self.word, prompts), prompts], 1)

    def token_logps(self, prompts: Tensor, tokens: Tensor) -> Tensor:
        """Log-probability of each token: (batch, horizon)."""
        return self.policy.token_logps(self.context(prompts), tokens)

    def level_logps(self, prompts: Tensor) -> list[Tensor]:
        """Next-token log-probabilities at every prefix."""
        return self.policy.level_logps(self.context(prompts))

    def sample(self, prompts: Tensor, generator: torch.Generator) -> Tensor:
        """One sequence per prompt row."""
        return self.policy.sample(self.context(prompts), generator)
