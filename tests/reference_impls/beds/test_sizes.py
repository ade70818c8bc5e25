import torch

from reference_impls.beds.exact import ExactBed, ExactConfig
from reference_impls.beds.sizes import SizedPolicy, small_base
from reference_impls.core.metrics import kl

BED = ExactConfig(vocab=3, horizon=2, attributes=2, reference_steps=40)


def test_a_sized_policy_is_a_policy_of_that_size() -> None:
    bed = ExactBed(3, BED)
    policy = SizedPolicy(bed.space, BED.attributes, width=8, layers=1)
    assert policy.model.config.hidden_size == 8 and policy.model.config.num_hidden_layers == 1
    assert torch.allclose(bed.logps(policy).exp().sum(-1), torch.ones(len(bed.prompts)))


def test_the_small_base_learns_the_known_distribution_and_stays_as_it_is() -> None:
    bed = ExactBed(3, BED)
    before = small_base(bed, 8, 1, 0, bed.generator(3))
    after = small_base(bed, 8, 1, 60, bed.generator(3))
    apart = [float(kl(bed.known_logps(), bed.logps(p))[bed.train_rows].mean()) for p in (before, after)]
    assert apart[1] < 0.5 * apart[0]
    assert not any(weight.requires_grad for weight in after.parameters())
