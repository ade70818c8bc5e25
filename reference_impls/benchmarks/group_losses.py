"""GRPO's successors and their terms one by one, at equal numbers of sampled answers."""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, mean_table

BENCHMARK = {
    "key": "group-losses",
    "categories": ["group-relative-policy-gradients", "verifiable-rewards"],
    "question": "Which of the terms that GRPO's successors change matter, with a graded reward and with a verifier?",
    "measures": [
        "entropy",
        "answer_length",
        "groups_without_spread",
        "tokens_moved",
        "pass_rate",
        "wrong_length",
        "wrong_slope_answer",
        "wrong_slope_constant",
        "right_slope_answer",
        "right_slope_constant",
    ],
    "arms": [
        {"arm": "GRPO", "method": "grpo-reused", "oracle": True},
        {"arm": "Dr. GRPO", "method": "dr-grpo", "oracle": True},
        {"arm": "GSPO", "method": "gspo", "oracle": True},
        {"arm": "CISPO", "method": "cispo", "oracle": True},
        {"arm": "GMPO", "method": "gmpo", "oracle": True},
        {"arm": "GRPO, stale", "method": "grpo-reused", "set": {"steps": 12, "epochs": 12}, "oracle": True},
        {
            "arm": "GRPO, stale, GSPO's band",
            "method": "grpo-reused",
            "set": {"steps": 12, "epochs": 12, "clip_low": 0.05, "clip_high": 0.05},
            "oracle": True,
        },
        {"arm": "GSPO, stale", "method": "gspo", "set": {"steps": 12, "epochs": 12}, "oracle": True},
        {"arm": "GMPO, stale", "method": "gmpo", "set": {"steps": 12, "epochs": 12}, "oracle": True},
        {
            "arm": "verifier: GRPO",
            "method": "grpo-reused",
            "set": {"beta": 0.0, "steps": 24},
            "bed_set": {"verifier": 0.05},
        },
        {
            "arm": "verifier: GRPO, sums over a constant",
            "method": "grpo-reused",
            "set": {"beta": 0.0, "steps": 24, "average": "constant"},
            "bed_set": {"verifier": 0.05},
        },
        {
            "arm": "verifier: GRPO, higher upper clip",
            "method": "grpo-reused",
            "set": {"beta": 0.0, "steps": 24, "clip_high": 0.28},
            "bed_set": {"verifier": 0.05},
        },
        {
            "arm": "verifier: GRPO, lower lower clip",
            "method": "grpo-reused",
            "set": {"beta": 0.0, "steps": 24, "clip_low": 0.28},
            "bed_set": {"verifier": 0.05},
        },
        {
            "arm": "verifier: GRPO, dynamic sampling",
            "method": "grpo-reused",
            "set": {"beta": 0.0, "steps": 24, "resample": True},
            "bed_set": {"verifier": 0.05},
        },
        {
            "arm": "verifier: GRPO, KL 0.5",
            "method": "grpo-reused",
            "set": {"steps": 24},
            "bed_set": {"verifier": 0.05},
        },
        {
            "arm": "verifier: Dr. GRPO",
            "method": "dr-grpo",
            "set": {"beta": 0.0, "steps": 24},
            "bed_set": {"verifier": 0.05},
        },
        {"arm": "verifier: DAPO", "method": "dapo"},
    ],
}

GRIDS = [
    {
        "arms": ["GRPO", "Dr. GRPO", "GSPO", "CISPO", "GMPO"],
        "setting": "lr",
        "values": [2.5e-4, 5e-4, 1e-3, 2e-3],
        "measure": "metrics.gap_closed",
    },
]


CLAIMS = {
    "liu2025understanding/c1": {
        "test": "Growth of wrong answers along GRPO's exact mean gradient at the reference, in tokens per unit of pass "
        "rate gained, with one over the answer's length minus that without. Instances of seeds 0 to 4.",
        "arms": ["verifier: GRPO"],
        "measure": "wrong_growth_by_length_term",
        "unit": "tokens per unit of pass rate",
        "holds": ">= 0.1",
        "fails": "<= 0",
        "why": "On seeds 100 and 101 it is 0.26 and 0.83; a tenth is a twentieth of what training changes lengths by.",
        "controls": [
            {
                "what": "the same of right answers, which the term should make shorter",
                "measure": "right_growth_by_length_term",
            },
        ],
        "revisions": [],
    },
    "yu2025dapo/c1": {
        "test": "GRPO with a verifier, four updates per batch, upper clip at 0.28 against 0.2: entropy of the final "
        "policy, the difference. Seeds 0 to 4, equal batches.",
        "arms": [
            "verifier: GRPO",
            "verifier: GRPO, higher upper clip",
            "verifier: GRPO, lower lower clip",
            "verifier: GRPO, KL 0.5",
        ],
        "measure": "entropy_kept_by_clip_higher",
        "unit": "nats per answer",
        "holds": ">= 0.3",
        "fails": "<= 0",
        "why": "Runs end between 1 and 3 nats, the reference has 6; 0.3 is a tenth of what training takes. On seeds "
        "100 and 101 (30 batches) the difference was -0.8 and -0.5.",
        "controls": [
            {"what": "the lower clip widened instead", "measure": "entropy_kept_by_clip_lower"},
            {"what": "a KL penalty of 0.5 in the reward instead", "measure": "entropy_kept_by_kl"},
        ],
        "revisions": [],
    },
    "yu2025dapo/c2": {
        "test": "GRPO with a verifier, with and without dynamic sampling, at equal numbers of sampled answers: final "
        "pass rate on the training prompts, the difference. Seeds 0 to 4.",
        "arms": ["verifier: GRPO", "verifier: GRPO, dynamic sampling", "verifier: GRPO, KL 0.5"],
        "measure": "pass_rate_gained_by_resampling",
        "unit": "pass rate",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": "Two points are about the spread between GRPO's variants on seeds 100 and 101 (30 batches), where the "
        "difference was -0.06 and 0.03.",
        "controls": [
            {"what": "gained by leaving out the KL penalty of 0.5", "measure": "pass_rate_gained_without_kl"},
        ],
        "revisions": [],
    },
    "zheng2025group/c1": {
        "test": "Twelve updates per batch, gold reward: share of the gap that GSPO closes minus that of GRPO at its "
        "own band. Seeds 0 to 4, equal answers and updates.",
        "arms": ["GRPO, stale", "GSPO, stale", "GMPO, stale", "GRPO, stale, GSPO's band"],
        "measure": "stale_gain_of_gspo",
        "unit": "share of the gap",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": "0.04 on seed 100 (20 batches); fresh runs of the same method differ by 0.01.",
        "controls": [
            {"what": "GMPO, which clips tokens and takes the mean after", "measure": "stale_gain_of_gmpo"},
            {"what": "GRPO with GSPO's narrower band", "measure": "stale_gain_of_band"},
        ],
        "revisions": [],
    },
    "zhao2025geometric/c1": {
        "test": "Twelve updates per batch, gold reward: share of tokens whose ratio has left 0.8 to 1.2 after the last "
        "update, under GRPO minus under GMPO, each with its paper's band. Seeds 0 to 4.",
        "arms": ["GRPO, stale", "GMPO, stale", "GRPO, stale, GSPO's band"],
        "measure": "ratios_kept_by_gmpo",
        "unit": "share of tokens",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": "Half of the tokens leave it under GRPO; a twentieth is a tenth of them. -0.13 on seed 100.",
        "controls": [{"what": "GRPO with a narrower band", "measure": "ratios_kept_by_band"}],
        "revisions": [],
    },
    "minimax2025minimax/c1": {
        "test": "Four updates per batch, gold reward, equal answers: share of the gap that CISPO closes minus GRPO's, "
        "each with the better of its bands and learning rates. Seeds 0 to 4.",
        "arms": ["GRPO", "CISPO", "GRPO, stale"],
        "measure": "gain_of_cispo",
        "unit": "share of the gap",
        "holds": ">= 0.01",
        "fails": "<= 0",
        "why": "-0.02 on seed 100, where the best and worst setting of GRPO differ by 0.015.",
        "controls": [{"what": "GRPO over GRPO with a quarter of the answers", "measure": "gain_of_answers"}],
        "revisions": [],
    },
}


def difference(runs: pd.DataFrame, metric: str, arm: str, other: str) -> float:
    """A metric of one arm minus that of another."""
    values = runs[f"metrics.{metric}"]
    return float(values[arm]) - float(values[other])


def growth(runs: pd.DataFrame, answers: str) -> float:
    """Slope of the length of right or wrong answers with one over the length, minus without."""
    run = runs.loc["verifier: GRPO"]
    return float(run[f"metrics.{answers}_slope_answer"]) - float(run[f"metrics.{answers}_slope_constant"])


def wrong_growth_by_length_term(runs: pd.DataFrame) -> float:
    """Of wrong answers: see growth."""
    return growth(runs, "wrong")


def right_growth_by_length_term(runs: pd.DataFrame) -> float:
    """Of right answers: see growth."""
    return growth(runs, "right")


def entropy_kept_by_clip_higher(runs: pd.DataFrame) -> float:
    """Entropy with the upper clip at 0.28 minus with it at 0.2."""
    return difference(runs, "entropy", "verifier: GRPO, higher upper clip", "verifier: GRPO")


def entropy_kept_by_clip_lower(runs: pd.DataFrame) -> float:
    """Entropy with the lower clip at 0.28 minus with it at 0.2."""
    return difference(runs, "entropy", "verifier: GRPO, lower lower clip", "verifier: GRPO")


def entropy_kept_by_kl(runs: pd.DataFrame) -> float:
    """Entropy with a KL penalty minus without."""
    return difference(runs, "entropy", "verifier: GRPO, KL 0.5", "verifier: GRPO")


def pass_rate_gained_by_resampling(runs: pd.DataFrame) -> float:
    """Pass rate with dynamic sampling minus without."""
    return difference(runs, "pass_rate", "verifier: GRPO, dynamic sampling", "verifier: GRPO")


def pass_rate_gained_without_kl(runs: pd.DataFrame) -> float:
    """Pass rate without a KL penalty minus with one."""
    return difference(runs, "pass_rate", "verifier: GRPO", "verifier: GRPO, KL 0.5")


def stale_gain_of_gspo(runs: pd.DataFrame) -> float:
    """Gap closed by GSPO minus by GRPO, on stale answers."""
    return difference(runs, "gap_closed", "GSPO, stale", "GRPO, stale")


def stale_gain_of_gmpo(runs: pd.DataFrame) -> float:
    """Gap closed by GMPO minus by GRPO, on stale answers."""
    return difference(runs, "gap_closed", "GMPO, stale", "GRPO, stale")


def stale_gain_of_band(runs: pd.DataFrame) -> float:
    """Gap closed by GRPO with a narrower band minus by GRPO, on stale answers."""
    return difference(runs, "gap_closed", "GRPO, stale, GSPO's band", "GRPO, stale")


def ratios_kept_by_gmpo(runs: pd.DataFrame) -> float:
    """Share of tokens that leave the band under GRPO minus under GMPO, on stale answers."""
    return difference(runs, "tokens_moved", "GRPO, stale", "GMPO, stale")


def ratios_kept_by_band(runs: pd.DataFrame) -> float:
    """Share of tokens that leave the band under GRPO minus under GRPO with a narrower clip."""
    return difference(runs, "tokens_moved", "GRPO, stale", "GRPO, stale, GSPO's band")


def gain_of_cispo(runs: pd.DataFrame) -> float:
    """Gap closed by CISPO minus by GRPO."""
    return difference(runs, "gap_closed", "CISPO", "GRPO")


def gain_of_answers(runs: pd.DataFrame) -> float:
    """Gap closed by GRPO minus by GRPO with a quarter of the answers, each used three times as often."""
    return difference(runs, "gap_closed", "GRPO", "GRPO, stale")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """End of training: the gap with a graded reward, the pass rate with a verifier, and what changed on the way."""
    graded = ~runs["arm"].str.startswith("verifier")
    runs = runs.assign(gap=runs["metrics.gap_closed"].where(graded))
    columns = {
        "gap": "gap closed",
        "metrics.pass_rate": "pass rate",
        "metrics.entropy": "entropy",
        "metrics.answer_length": "length",
        "metrics.wrong_length": "length if wrong",
        "metrics.groups_without_spread": "groups without spread",
        "metrics.tokens_moved": "tokens moved",
        "cost.samples": "samples",
    }
    return mean_table(runs, columns, {"arm": "loss"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: entropy against pass rate at the end, for the arms with a verifier, one point per seed."""
    chosen = runs[runs["arm"].str.startswith("verifier")]
    points = pd.DataFrame(
        {
            "loss": chosen["arm"].str.removeprefix("verifier: "),
            "pass rate": chosen["metrics.pass_rate"],
            "entropy": chosen["metrics.entropy"],
            "seed": chosen["seed"],
        }
    )
    return chart(
        points,
        {"type": "point", "filled": True, "size": 60},
        width=620,
        height=360,
        x=quantitative("pass rate", "pass rate on training prompts", scale={"zero": False}),
        y=quantitative("entropy", "entropy of the policy, in nats per answer"),
        color=nominal("loss", None),
        shape=nominal("loss", None),
        tooltip=[{"field": name} for name in ("loss", "pass rate", "entropy", "seed")],
    )


def conclusion(runs: pd.DataFrame) -> str:
    """How far the losses are apart on fresh and on stale answers, and what each term does to entropy and passing."""
    columns = ["metrics.gap_closed", "metrics.pass_rate", "metrics.entropy"]
    means = by_arm(runs, columns).set_index("arm")
    gap, passed, entropy = (means[column] for column in columns)
    fresh = gap[["GRPO", "Dr. GRPO", "GSPO", "CISPO", "GMPO"]].sort_values()
    stale = gap[[arm for arm in gap.index if "stale" in arm]].sort_values()
    terms = {
        "the higher upper clip": "verifier: GRPO, higher upper clip",
        "dynamic sampling": "verifier: GRPO, dynamic sampling",
        "sums over a constant": "verifier: GRPO, sums over a constant",
    }
    base = "verifier: GRPO"
    parts = [
        f"{name} changes the pass rate by {passed[arm] - passed[base]:+.2f} and the entropy by "
        f"{entropy[arm] - entropy[base]:+.1f} nats"
        for name, arm in terms.items()
    ]
    return (
        f"With four updates per batch the losses close {fresh.iloc[0]:.2f} ({fresh.index[0]}) to {fresh.iloc[-1]:.2f} "
        f"({fresh.index[-1]}) of the gap; with twelve, {stale.index[-1].replace(', stale', '')} closes most "
        f"({stale.iloc[-1]:.2f}) and {stale.index[0].replace(', stale', '')} least ({stale.iloc[0]:.2f}). With a "
        f"verifier and at equal answers, against GRPO's pass rate of {passed[base]:.2f} and entropy of "
        f"{entropy[base]:.1f}: {'; '.join(parts)}."
    )
