"""NLPO, APA and regression on pairs against PPO and RLOO, at equal numbers of answers scored by gold."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import along_training, by_arm, mean_table

BENCHMARK = {
    "key": "other-policy-optimisation",
    "categories": ["other-rl-algorithms"],
    "question": "With 12,800 scored answers, what gets nearer to the optimum than PPO and RLOO?",
    "measures": ["reference_masked", "optimum_masked"],
    "arms": [
        {"arm": "RLOO", "method": "rloo", "set": {"steps": 100}, "oracle": True},
        {"arm": "PPO", "method": "ppo", "set": {"steps": 100, "minibatches": 1}, "oracle": True},
        {
            "arm": "PPO, a tenth of the answers",
            "method": "ppo",
            "set": {"steps": 10, "minibatches": 1},
            "oracle": True,
        },
        {"arm": "NLPO", "method": "nlpo", "oracle": True},
        {"arm": "NLPO, first mask", "method": "nlpo", "set": {"refresh": 0}, "oracle": True},
        {"arm": "APA", "method": "apa", "oracle": True},
        {"arm": "APA as released", "method": "apa-released", "oracle": True},
        {"arm": "REBEL", "method": "rebel", "oracle": True},
        {"arm": "CoPG, answers of the reference", "method": "copg", "oracle": True},
        {
            "arm": "the same without pairs",
            "method": "copg",
            "set": {"paired": False},
            "oracle": True,
        },
    ],
}

GRIDS = [
    {
        "arms": ["REBEL", "CoPG, answers of the reference"],
        "setting": "lr",
        "values": [1e-3, 2e-3, 4e-3],
        "measure": "metrics.gap_closed",
    },
]

CLAIMS = {
    "ramamurthy2023is/c2": {
        "test": (
            "PPO and NLPO (top-p mask of 0.9, renewed every ten batches) with the same settings, 12,800 answers and "
            "the gold reward: share of the gap closed, NLPO minus PPO."
        ),
        "arms": ["PPO", "NLPO", "PPO, a tenth of the answers"],
        "measure": "nlpo_ahead",
        "unit": "share of the gap",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": (
            "PPO's own settings move the share by 0.01 to 0.02, so that a better method should be ahead by that. "
            "A mask that only takes bad tokens away has something to gain: a tenth of the reference's mass at "
            "every token. Choosing among six tokens leaves it less to do than among tens of thousands."
        ),
        "controls": [
            {"what": "PPO against itself with a tenth of the answers", "measure": "ppo_over_a_tenth"}
        ],
        "revisions": [],
    },
    "gao2024rebel/c1": {
        "test": (
            "PPO and REBEL (KL in the reward, eta 1, two updates per batch) with 12,800 answers and the gold reward: "
            "share of the gap closed, REBEL minus PPO."
        ),
        "arms": ["PPO", "REBEL", "the same without pairs", "PPO, a tenth of the answers"],
        "measure": "rebel_ahead",
        "unit": "share of the gap",
        "holds": ">= -0.02",
        "fails": "<= -0.05",
        "why": (
            "At least as well means not behind by more than settings move either, 0.02. On tuning seed 100 REBEL "
            "closed 0.96."
        ),
        "controls": [
            {"what": "PPO with a tenth of the answers", "measure": "a_tenth_ahead"},
            {"what": "regression on single answers of the reference", "measure": "singles_ahead"},
        ],
        "revisions": [],
    },
    "fletberliac2024contrastive/c1": {
        "test": (
            "12,800 answers, all by the reference: share of the gap of J closed by regression on pairs, without "
            "importance weights."
        ),
        "arms": ["CoPG, answers of the reference", "the same without pairs"],
        "measure": "off_policy",
        "unit": "share of the gap",
        "holds": ">= 0.7",
        "fails": "<= 0.5",
        "why": (
            "The optimum is a fixed point whoever writes; what is missing are samples where it has its mass. Policy "
            "gradients on their own answers close 0.95 with as many; half would be another end point."
        ),
        "controls": [
            {
                "what": "the same answers with a baseline of zero, each by itself",
                "measure": "off_policy_singles",
            }
        ],
        "revisions": [],
    },
}


def _gap(runs: pd.DataFrame, arm: str) -> float:
    return float(runs["metrics.gap_closed"][arm])


def nlpo_ahead(runs: pd.DataFrame) -> float:
    """NLPO minus PPO."""
    return _gap(runs, "NLPO") - _gap(runs, "PPO")


def ppo_over_a_tenth(runs: pd.DataFrame) -> float:
    """PPO minus PPO with a tenth of the answers."""
    return _gap(runs, "PPO") - _gap(runs, "PPO, a tenth of the answers")


def rebel_ahead(runs: pd.DataFrame) -> float:
    """REBEL minus PPO."""
    return _gap(runs, "REBEL") - _gap(runs, "PPO")


def a_tenth_ahead(runs: pd.DataFrame) -> float:
    """PPO with a tenth of the answers minus PPO."""
    return -ppo_over_a_tenth(runs)


def singles_ahead(runs: pd.DataFrame) -> float:
    """Regression on single answers of the reference minus PPO."""
    return _gap(runs, "the same without pairs") - _gap(runs, "PPO")


def off_policy(runs: pd.DataFrame) -> float:
    """CoPG on the reference's answers."""
    return _gap(runs, "CoPG, answers of the reference")


def off_policy_singles(runs: pd.DataFrame) -> float:
    """The same, each answer by itself."""
    return _gap(runs, "the same without pairs")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """End of training, by method."""
    columns = {
        "metrics.gap_closed": "gap closed",
        "metrics.heldout_gap_closed": "held out",
        "metrics.target_gap": "own target",
        "metrics.kl_efficiency": "KL efficiency",
        "metrics.gold_reward": "gold reward",
        "metrics.kl_ref": "KL to reference",
        "metrics.optimum_masked": "optimum's mass masked",
        "cost.seconds": "seconds",
    }
    return mean_table(runs, columns, {"arm": "method"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: gap closed against answers sampled, by method."""
    return chart(
        along_training(runs, ["gap_closed"], cost="samples"),
        {"type": "line", "point": True},
        x=quantitative("samples", "answers sampled and scored"),
        y=quantitative("gap_closed", "share of the gap closed"),
        color=nominal("arm", "method"),
    )


def conclusion(runs: pd.DataFrame) -> str:
    """Who is ahead of PPO, what the mask costs, and what pairs are worth off the policy."""
    columns = ["metrics.gap_closed", "metrics.optimum_masked"]
    means = by_arm(runs, columns).set_index("arm")
    gap, masked = means["metrics.gap_closed"], means["metrics.optimum_masked"]
    others = ("NLPO", "APA", "APA as released", "REBEL")
    best = max(others, key=lambda arm: float(gap[arm]))
    spread = means["metrics.gap_closed_ci"]
    ahead = [arm for arm in others if gap[arm] - gap["PPO"] > max(spread[arm], spread["PPO"])]
    return (
        f"With 12,800 answers RLOO closes {gap['RLOO']:.2f} of the gap and PPO {gap['PPO']:.2f}. Of the four others "
        f"(NLPO, APA, APA as released, REBEL) {best} closes most ({gap[best]:.2f}); ahead of PPO by more than the "
        f"interval over seeds: {', '.join(ahead) or 'none'}. "
        f"NLPO closes {gap['NLPO']:.2f} with its mask renewed, which has lost {masked['NLPO']:.2f} of the optimum's "
        f"mass, and {gap['NLPO, first mask']:.2f} with the first one ({masked['NLPO, first mask']:.2f}). APA closes "
        f"{gap['APA']:.2f}. On answers of the reference alone pairs close "
        f"{gap['CoPG, answers of the reference']:.2f} and single answers {gap['the same without pairs']:.2f}."
    )
