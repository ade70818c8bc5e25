"""The loss of process and outcome reward models, and the ``PRMTrainer`` that TRL has dropped.

The trainer's own part is which token gets which label. Its loss is that of transformers, in single precision: a
softmax over two classes at the token that ends a step, averaged over the batch's labels. With the difference of
the two classes as a step's logit that is our sum over derivations, divided by the number of labels.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from stand_ins import SEEDS, Loss, agree, disagree
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers.loss.loss_utils import ForTokenClassification

from reference_impls.reward_models.process_rewards import last_step, step_loss

ROWS, STEPS, WORDS, PROMPT = 12, 5, 4, 3


class Words:
    """A tokenizer of words, each of which has the same id."""

    bos_token_id = None

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [9] * len(text.split())}

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [7]


class Derivations:
    """Random steps of random words with random labels, and logits of two classes at every token."""

    def __init__(self, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        counts = torch.randint(1, STEPS + 1, (ROWS,), generator=draw)
        self.words = torch.randint(1, WORDS + 1, (ROWS, STEPS), generator=draw)
        self.labels = torch.randint(2, (ROWS, STEPS), generator=draw).double()
        self.judged = (torch.arange(STEPS) < counts[:, None]).double()
        self.ends = PROMPT + (self.words + 1).cumsum(1) - 1
        width = int((self.ends * self.judged.long()).max()) + 1
        # In single precision, for theirs.
        self.classes = torch.randn(ROWS, width, 2, generator=draw).double()

    def rows(self) -> list[dict[str, Any]]:
        kept = [int(n) for n in self.judged.sum(1)]
        return [
            {
                "prompt": "word " * PROMPT,
                "completions": ["word " * int(n) for n in words[:steps]],
                "labels": [bool(label) for label in labels[:steps]],
            }
            for words, labels, steps in zip(self.words, self.labels, kept, strict=True)
        ]


def ours(data: Derivations, judged: Tensor, per: Tensor | None = None) -> Loss:
    """Our loss with the labels of ``judged`` steps, divided by the sum of ``per``, which is ``judged`` by default."""
    total = (judged if per is None else per).sum()

    def loss(classes: Tensor) -> Tensor:
        bad, good = classes.unbind(-1)
        at = data.ends.clamp(max=classes.shape[1] - 1)
        return step_loss((good - bad).gather(1, at), data.labels, judged).sum() / total

    return loss


def theirs(trl: Any, data: Derivations, last_only: bool, evaluating: bool = False) -> Loss:
    tokens = [
        trl.PRMTrainer.tokenize_row(row, Words(), "\n", None, None, last_only, evaluating)
        for row in data.rows()
    ]
    labels = pad_sequence([torch.tensor(row["labels"]) for row in tokens], True, -100)
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(),
        args=SimpleNamespace(average_tokens_across_devices=False),
        label_smoother=None,
        compute_loss_func=None,
        model_accepts_loss_kwargs=False,
    )

    def loss(classes: Tensor) -> Tensor:
        def model(labels: Tensor) -> dict[str, Tensor]:
            return {"loss": ForTokenClassification(classes, labels, SimpleNamespace(num_labels=2))}

        found: Tensor = trl.PRMTrainer.compute_loss(trainer, model, {"labels": labels})
        return found.double()

    return loss


@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_step_loss_agrees(trl: Any, seed: int, last_only: bool) -> None:
    data = Derivations(seed)
    judged = last_step(data.judged) if last_only else data.judged
    agree(ours(data, judged), theirs(trl, data, last_only), data.classes, single=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_step_loss_controls_disagree(trl: Any, seed: int) -> None:
    data = Derivations(seed)
    every, last = theirs(trl, data, False), theirs(trl, data, True)
    at = data.classes
    disagree(ours(data, last_step(data.judged)), every, at)
    disagree(ours(data, data.judged), last, at)
    disagree(ours(data, data.judged, per=torch.ones(ROWS)), every, at)
    disagree(lambda classes: ours(data, data.judged)(classes.flip(-1)), every, at)
    data.ends -= 1
    disagree(ours(data, data.judged), every, at)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_step_counts_when_evaluating(trl: Any, seed: int) -> None:
    data = Derivations(seed)
    agree(ours(data, data.judged), theirs(trl, data, True, evaluating=True), data.classes, single=True)
