"""Language models of two symbols whose answers have given log-probabilities.

For trainers that look an answer's tokens up in logits: every token of an answer is symbol 1, and what it lacks to
probability 1 has symbol 0.
"""

from dataclasses import fields, replace

import torch
from stand_ins import Answers, random_answers
from torch import Tensor

TOKEN = 1


def random_probabilities(seed: int, answers: int) -> Answers:
    """Random answers whose log-probabilities are below zero, so that a model can have them."""
    drawn = random_answers(seed, answers)
    names = {field.name for field in fields(drawn)} & {"logps", "old", "reference"}
    return replace(drawn, **{name: getattr(drawn, name).clamp(max=-0.01) for name in names})


def logits(logps: Tensor, prompt: int) -> Tensor:
    """What a model says after each of ``prompt`` and answer tokens: (answers, prompt + tokens, 2)."""
    answer = torch.stack([torch.log(-torch.expm1(logps)), logps], -1)
    silence = answer.new_zeros(len(answer), 1, 2)
    return torch.cat([silence.expand(-1, prompt - 1, -1), answer, silence], 1)


def symbols(mask: Tensor, first: int, prompt: int) -> dict[str, Tensor]:
    """Ids and attention of prompts that begin with ``first``, and answers: (answers, prompt + tokens)."""
    ids = torch.full((len(mask), prompt + mask.shape[1]), TOKEN)
    ids[:, 0] = first
    attention = torch.cat([torch.ones(len(mask), prompt), mask], 1).long()
    return {"input_ids": ids, "attention_mask": attention}
