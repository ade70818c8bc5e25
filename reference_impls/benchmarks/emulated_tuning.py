"""A small model's tuning on a large base: how near is it to tuning the large one, and what is lost token by token?"""

from __future__ import annotations

import pandas as pd

from reference_impls.benchmarks.figures import chart, nominal, quantitative
from reference_impls.benchmarks.summary import arm_means, by_arm, mean_table

BENCHMARK = {
    "key": "emulated-tuning",
    "categories": ["emulated-fine-tuning"],
    "question": "How near does a small model's tuning, added to a large base, come to tuning the large one?",
    "arms": [
        {"arm": "EFT, DPO", "method": "emulated-fine-tuning"},
        {
            "arm": "over whole answers, DPO",
            "method": "emulated-fine-tuning",
            "set": {"composition": "answer"},
        },
        {"arm": "small model alone, DPO", "method": "emulated-fine-tuning", "set": {"composition": "small"}},
        {
            "arm": "EFT, perfect tuning",
            "method": "emulated-fine-tuning",
            "set": {"tuning": "perfect"},
            "oracle": True,
        },
        {
            "arm": "over whole answers, perfect tuning",
            "method": "emulated-fine-tuning",
            "set": {"tuning": "perfect", "composition": "answer"},
            "oracle": True,
        },
        {
            "arm": "small model alone, perfect tuning",
            "method": "emulated-fine-tuning",
            "set": {"tuning": "perfect", "composition": "small"},
            "oracle": True,
        },
        {
            "arm": "EFT, perfect tuning, scale 0.5",
            "method": "emulated-fine-tuning",
            "set": {"tuning": "perfect", "scale": 0.5},
            "oracle": True,
        },
        {
            "arm": "EFT, perfect tuning, scale 2",
            "method": "emulated-fine-tuning",
            "set": {"tuning": "perfect", "scale": 2.0},
            "oracle": True,
        },
    ],
    "measures": [
        "kl_to_direct_token",
        "kl_to_direct_answer",
        "kl_to_direct_small",
        "kl_reference_to_direct",
        "kl_known_to_small",
        "direct_gold",
    ],
}

GRIDS = [
    {
        "arms": ["EFT, perfect tuning"],
        "setting": "scale",
        "values": [0.5, 1.0, 1.5, 2.0],
        "measure": "metrics.kl_to_direct_token",
        "best": "lowest",
    },
]

CLAIMS = {
    "liu2024tuning/c1": {
        "test": (
            "Small and large model tuned by DPO on the same 8,000 pairs: gold reward of the large base with the small "
            "pair's change added token by token, as a share of that of the large model tuned directly (the base has 0)."
        ),
        "arms": ["EFT, DPO", "EFT, perfect tuning, scale 0.5"],
        "measure": "share_of_direct",
        "unit": "share of the direct gain",
        "holds": ">= 0.8",
        "fails": "<= 0.6",
        "why": (
            "The paper reports 88 % of the gap. On a tuning seed it was 85 %; 0.8 allows for the spread of two DPO "
            "runs, and with 0.6 a good third would be missing."
        ),
        "controls": [{"what": "half of the change added", "measure": "share_of_half"}],
        "revisions": [],
    },
    "mitchell2024emulator/c2": {
        "test": (
            "Share of the gap in J closed by the large base with the small pair's change, minus that closed by the "
            "small tuned model alone, which had an eighth of the pre-training; both by DPO on the same pairs."
        ),
        "arms": [
            "EFT, DPO",
            "small model alone, DPO",
            "EFT, perfect tuning, scale 2",
            "small model alone, perfect tuning",
        ],
        "measure": "gain_of_the_large_base",
        "unit": "share of the gap",
        "holds": ">= 0.05",
        "fails": "<= 0",
        "why": (
            "J punishes what the large base would not write, as factuality does in the paper. A twentieth of the gap "
            "is a difference one would pay for; seeds differ by about that."
        ),
        "controls": [{"what": "perfect tuning, added twice", "measure": "gain_of_twice"}],
        "revisions": [],
    },
}


def _of(runs: pd.DataFrame, arm: str, metric: str) -> float:
    return float(runs.loc[arm, f"metrics.{metric}"])


def share_of_direct(runs: pd.DataFrame) -> float:
    """Gold reward of EFT over that of direct tuning, by DPO."""
    return _of(runs, "EFT, DPO", "gold_reward") / _of(runs, "EFT, DPO", "direct_gold")


def share_of_half(runs: pd.DataFrame) -> float:
    """The same for half of the change, tuned perfectly."""
    arm = "EFT, perfect tuning, scale 0.5"
    return _of(runs, arm, "gold_reward") / _of(runs, arm, "direct_gold")


def gain_of_the_large_base(runs: pd.DataFrame) -> float:
    """Gap closed by EFT minus that by the small tuned model alone."""
    return _of(runs, "EFT, DPO", "gap_closed") - _of(runs, "small model alone, DPO", "gap_closed")


def gain_of_twice(runs: pd.DataFrame) -> float:
    """The same for twice the change, tuned perfectly."""
    twice, alone = "EFT, perfect tuning, scale 2", "small model alone, perfect tuning"
    return _of(runs, twice, "gap_closed") - _of(runs, alone, "gap_closed")


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Reward and divergences; "to direct" is from the composition shown to the large model tuned directly."""
    columns = {
        "metrics.gold_reward": "gold reward",
        "metrics.direct_gold": "tuned directly",
        "metrics.target_gap": "way to the directly tuned",
        "metrics.gap_closed": "gap closed in J",
        "metrics.kl_ref": "KL to the base",
        "metrics.kl_to_direct_token": "KL to direct, per token",
        "metrics.kl_to_direct_answer": "KL to direct, whole answers",
    }
    return mean_table(runs, columns, {"arm": "composition"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: KL to the directly tuned large model, by composition and tuning."""
    names = {"answer": "over whole answers", "token": "token by token", "small": "small model alone"}
    columns = [f"metrics.kl_to_direct_{name}" for name in names]
    means = by_arm(runs, [*columns, "metrics.kl_reference_to_direct"]).set_index("arm")
    rows = []
    for arm, tuning in (("EFT, perfect tuning", "perfect tuning"), ("EFT, DPO", "DPO")):
        scale = float(means.loc[arm, "metrics.kl_reference_to_direct"])
        for name, shown in names.items():
            left = float(means.loc[arm, f"metrics.kl_to_direct_{name}"]) / scale
            rows.append({"tuning": tuning, "composition": shown, "left": left})
    return chart(
        rows,
        {"type": "bar"},
        width=420,
        height=110,
        x=quantitative("left", "KL to the large model tuned directly (share of the untuned base's)"),
        y=nominal("composition", None, sort=None),
        row=nominal("tuning", None, sort=None),
        color={"field": "composition", "type": "nominal", "sort": None, "legend": None},
    )


def conclusion(runs: pd.DataFrame) -> str:
    """How much of the way each composition goes, and how much of what is missing the normalisation explains."""
    way, gold = arm_means(runs, "metrics.target_gap"), arm_means(runs, "metrics.gold_reward")
    token, whole = (
        arm_means(runs, "metrics.kl_to_direct_token"),
        arm_means(runs, "metrics.kl_to_direct_answer"),
    )
    direct = arm_means(runs, "metrics.direct_gold")["EFT, DPO"]
    lost = token["EFT, DPO"] - whole["EFT, DPO"]
    blame = "most" if lost > whole["EFT, DPO"] else "little"
    exact = "exactly" if whole["EFT, perfect tuning"] < 1e-3 else "nearly"
    return (
        f"With perfect tuning a small model's change, added over whole answers, gives the tuned large model {exact} "
        f"({whole['EFT, perfect tuning']:.3f} nats away); token by token it goes {way['EFT, perfect tuning']:.3f} of "
        f"the way, the small tuned model alone {way['small model alone, perfect tuning']:.3f}. Tuned by DPO the same "
        f"three go {way['over whole answers, DPO']:.2f}, {way['EFT, DPO']:.2f} and {way['small model alone, DPO']:.2f} "
        f"of the way to direct DPO of the large model, and token by token earn {gold['EFT, DPO'] / direct:.2f} of its "
        f"reward: normalising token by token explains {blame} of what is missing."
    )
