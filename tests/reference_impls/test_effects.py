"""What bugs do to learning: the right run is chosen, the right number is told, and it is kept."""

from pathlib import Path

import pytest

from reference_impls import effects, museum
from reference_impls.registry import Problem

BUGS = {bug.key: bug for bug in museum.bugs()}


def test_every_bug_has_a_run_and_every_entry_a_bug() -> None:
    tasks = {key: effects.task_of(bug) for key, bug in BUGS.items()}
    assert effects.ACTS_IN.keys() <= BUGS.keys()
    assert tasks["orpo-without-fine-tuning"][0] == "orpo"
    assert tasks["whiten-bracket"] == ("ppo", (("whiten", True),), "whiten-bracket")


def test_a_bug_of_shared_code_needs_to_be_told_where_it_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "ACTS_IN", {})
    with pytest.raises(Problem, match="kl-k3-reversed is in no method's module"):
        effects.task_of(BUGS["kl-k3-reversed"])


def test_a_bug_of_shared_code_is_put_into_what_the_method_calls() -> None:
    import torch

    from reference_impls.policy_gradient import grpo

    buggy = effects.bugged_module("grpo", BUGS["kl-k3-reversed"])
    one, other = torch.tensor([-1.0]), torch.tensor([-2.0])
    assert float(grpo.kl_k3(one, other)) != float(buggy.kl_k3(one, other))
    assert float(grpo.kl_k3(one, other)) == float(buggy.kl_k3(other, one))
    assert buggy.masked_mean is not None and buggy.grpo_loss is not grpo.grpo_loss


def test_the_share_of_the_gap_is_told_or_else_what_moved_most() -> None:
    bug = BUGS["dpo-without-reference"]
    told = effects.effect(
        bug, ("dpo", (), bug.key), {"gap_closed": 0.9, "x": 1.0}, {"gap_closed": 0.2, "x": 9.0}
    )
    assert (told["metric"], told["without"], told["with"]) == ("gap_closed", 0.9, 0.2)
    told = effects.effect(
        bug, ("dpo", (), bug.key), {"a": 1.0, "b": 2.0, "c": None}, {"a": 0.9, "b": -2.0, "c": 1.0}
    )
    assert told["metric"] == "b"
    told = effects.effect(bug, ("dpo", (), bug.key), {"a": 1.0}, "the loss became nan")
    assert told["error"] == "the loss became nan"
    with pytest.raises(Problem, match="does not run without the bug"):
        effects.effect(bug, ("dpo", (), bug.key), "no such bed", {"a": 1.0})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "effects.json"
    assert effects.read(path) == []
    first, second = list(BUGS)[:2]
    effects.write([{"key": second, "metric": "b", "without": 0.5, "with": None}, {"key": "gone"}], path)
    assert effects.read(path) == [{"key": second, "metric": "b", "without": 0.5, "with": None}]
    effects.write([{"key": first, "metric": "b", "without": 0.1, "with": 0.2}], path)
    assert [one["key"] for one in effects.read(path)] == [first, second]


def test_a_bug_is_called_by_its_key() -> None:
    assert [bug.key for bug in effects.choose(["whiten-bracket"])] == ["whiten-bracket"]
    assert len(effects.choose()) == len(BUGS)
    with pytest.raises(Problem, match="did you mean 'whiten-bracket'"):
        effects.choose(["whiten-brackets"])


def test_the_record_is_of_the_bugs_that_there_are() -> None:
    assert {one["key"] for one in effects.read()} == BUGS.keys(), "run: rlhf museum --commit"
