"""A policy that reads words: words matter, contexts of any length keep their place, and asking is a policy."""

import pytest
import torch

from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.core.conditioned import Asked, ConditionedPolicy
from reference_impls.core.policies import sequence_logps


@pytest.fixture(scope="module")
def bed() -> ExactBed:
    return ExactBed(100, ExactConfig(vocab=3, horizon=3, attributes=2))


@pytest.fixture(scope="module")
def policy(bed: ExactBed) -> ConditionedPolicy:
    torch.manual_seed(0)
    return ConditionedPolicy(bed.reference, 3)


def test_without_a_word_it_is_the_reference(bed: ExactBed, policy: ConditionedPolicy) -> None:
    assert torch.allclose(bed.logps(policy), bed.reference_logps, atol=1e-5)


def test_words_are_new_tokens_and_make_a_difference(bed: ExactBed, policy: ConditionedPolicy) -> None:
    known = 1 + bed.space.actions + 2 * bed.config.attributes
    assert policy.words.tolist() == [known, known + 1, known + 2]
    assert policy.word(2, bed.prompts).shape == (len(bed.prompts), 1)
    first, second = bed.logps(Asked(policy, 0)), bed.logps(Asked(policy, 1))
    assert float((first - second).abs().max()) > 1e-3
    assert torch.allclose(first.exp().sum(1), torch.ones(len(first)), atol=1e-4)


def test_every_way_of_asking_gives_one_law(bed: ExactBed, policy: ConditionedPolicy) -> None:
    asked, rows = Asked(policy, 1), torch.tensor([0, 1, 2])
    tokens = asked.sample(bed.prompts[rows], bed.generator(0))
    table = bed.logps(asked)[rows, bed.space.index(tokens)]
    with torch.no_grad():
        added = asked.token_logps(bed.prompts[rows], tokens).sum(1)
    assert torch.allclose(table, added, atol=1e-4)


def test_an_answer_may_stand_in_the_context(bed: ExactBed, policy: ConditionedPolicy) -> None:
    prompts, shown = bed.prompts[:2], torch.tensor([[1, 2, 3], [2, 4, 0]])
    context = torch.cat([policy.word(1, prompts), prompts, shown, policy.word(0, prompts)], 1)
    tokens = torch.tensor([[3, 1, 4], [1, 1, 1]])
    with torch.no_grad():
        law = sequence_logps(policy, context, bed.space)
        added = policy.token_logps(context, tokens).sum(1)
    assert torch.allclose(law[[0, 1], bed.space.index(tokens)], added, atol=1e-4)
