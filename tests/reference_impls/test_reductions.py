"""Every reduction holds, every control disagrees, and the record says what today's code does."""

import pytest

from reference_impls import reductions
from reference_impls.registry import methods

EVERY = {f"{i}-{one.one}-{one.other}": one for i, one in enumerate(reductions.REDUCTIONS)}


@pytest.mark.parametrize("name", EVERY)
def test_it_holds_under_its_condition_and_not_without(name: str) -> None:
    entry = reductions.prove(EVERY[name])
    assert entry["deviation"] <= reductions.AGREE
    assert entry["control_deviation"] >= reductions.DIFFER
    assert {entry["one"], entry["other"]} <= set(methods())


def test_a_wrong_loss_is_noticed() -> None:
    one = next(one for one in reductions.REDUCTIONS if one.one == "cdpo")

    def wrong(first, second, batch, met):  # type: ignore[no-untyped-def]
        left, right = one.losses(first, second, batch, met)
        return left * 1.000001, right

    broken = reductions.Reduction(one.one, one.other, "", "", "", wrong)
    assert not reductions.prove(broken)["holds"]


def test_the_record_is_what_todays_code_proves() -> None:
    recorded, now = reductions.read(), reductions.compute()
    assert [
        (e["one"], e["other"], e["statement"], e["condition"], e["control"], e["holds"]) for e in recorded
    ] == [(e["one"], e["other"], e["statement"], e["condition"], e["control"], e["holds"]) for e in now]
    assert all(e["holds"] for e in now) and len(now) >= 28
