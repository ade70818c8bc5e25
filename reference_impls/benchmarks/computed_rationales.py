"""Words computed from a small proxy against true words, random words and none, at equal prompt length."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from reference_impls.benchmarks.figures import layer, nominal, quantitative
from reference_impls.benchmarks.summary import by_arm, half_width, mean_table, records_of

BENCHMARK = {
    "key": "computed-rationales",
    "categories": ["explanations-as-feedback"],
    "question": "Can words that explain a small model's answers replace rationales written by people?",
    "arms": [
        {"arm": "taught with rationales", "method": "amplify"},
        {"arm": "never saw rationales", "method": "amplify", "set": {"clues_in_lessons": False}},
        {"arm": "poorer proxy", "method": "amplify", "set": {"noise": 0.85}},
        {"arm": "better proxy", "method": "amplify", "set": {"noise": 0.4}},
    ],
    "measures": [
        "proxy_untrained",
        "proxy_pretrained",
        "proxy_tuned",
        "accuracy_no_words",
        "accuracy_true_words",
        "accuracy_computed_words",
        "accuracy_hard_no_words",
        "accuracy_hard_random_words",
        "accuracy_hard_true_words",
        "accuracy_untrained",
        "accuracy_pretrained",
        "accuracy_tuned",
        "accuracy_tuned_longer",
        "accuracy_contrastive",
        "accuracy_norm",
        "accuracy_contrastive_norm",
        "accuracy_any",
        "accuracy_easy",
        "accuracy_well_explained",
        "found_hard_random_words",
        "found_hard_true_words",
        "found_computed_words",
        "found_untrained",
        "found_pretrained",
        "found_tuned",
        "found_contrastive",
        "found_norm",
        "found_contrastive_norm",
        "found_any",
        "found_easy",
        "best_no_words",
        "best_true_words",
    ],
}

CLAIMS = {
    "krishna2023post/c1": {
        "test": "Accuracy on 3,072 questions of 384 fresh tasks, three shots and six slots for words in every prompt: "
        "AMPLIFY (gradient times input, proxy not tuned) minus the best of no words on shots at random, no words on "
        "AMPLIFY's shots, and random words on AMPLIFY's shots.",
        "arms": ["taught with rationales", "never saw rationales"],
        "measure": "gain",
        "unit": "accuracy",
        "holds": ">= 0.1",
        "fails": "<= 0.02",
        "why": "0.1 is the lower end of what the paper reports; 0.02 is about two standard errors of one seed. The "
        "best reader of a prompt gains 0.28 from true words.",
        "controls": [
            {
                "what": "true words on the same shots, in place of computed ones",
                "measure": "gain_of_true_words",
            },
            {"what": "random words, against no words", "measure": "gain_of_random_words"},
            {"what": "a learner that was never taught with words in the slots", "measure": "gain_untaught"},
        ],
    },
    "krishna2023post/c3": {
        "test": "Accuracy with computed words on the shots of highest misclassification confidence, minus the best of "
        "lowest confidence, random choice among the same texts, and random choice without putting the learner's "
        "mistakes first; always one shot per label.",
        "arms": ["taught with rationales"],
        "measure": "gain_of_hard_shots",
        "unit": "accuracy",
        "holds": ">= 0.01",
        "fails": "<= 0",
        "why": "To be the best, it must be above the next; 0.01 is about two standard errors of such a difference over "
        "five seeds.",
        "controls": [
            {
                "what": "shots whose computed words hold the key, chosen with knowledge of it",
                "measure": "gain_of_well_explained_shots",
            },
            {
                "what": "lowest confidence against the best of the others",
                "measure": "gain_of_easy_shots",
            },
        ],
        "revisions": [
            {
                "date": "2026-11-22",
                "was": "random choice only among texts of which the learner's mistakes go first (0.024 ± 0.013)",
                "reason": "shots that the learner does not mistake turned out to be the stronger rival, by 0.01; the "
                "bands are unchanged",
            },
        ],
    },
    "krishna2023post/c4": {
        "test": "Accuracy on AMPLIFY's shots: the worse of gradient times input and its contrastive form, minus the "
        "better of the gradient's norm and its contrastive form.",
        "arms": ["taught with rationales"],
        "measure": "gain_of_products",
        "unit": "accuracy",
        "holds": ">= 0.02",
        "fails": "<= 0",
        "why": "0.02 is about two standard errors of one seed, and a tenth of what true words are worth to the "
        "learner.",
        "controls": [
            {"what": "true words in place of the products", "measure": "true_words_over_norms"},
            {"what": "norms in place of products, and products of norms", "measure": "gain_of_norms"},
        ],
    },
    "krishna2023post/c5": {
        "test": "Accuracy of AMPLIFY with a proxy tuned on twelve clean texts of the task, minus that with the proxy "
        "only pre-trained. Scores and words both come from the proxy in question.",
        "arms": ["taught with rationales"],
        "measure": "gain_of_tuning",
        "unit": "accuracy",
        "holds": "<= 0.02",
        "fails": ">= 0.05",
        "why": "Little is what one seed could not tell from nothing; 0.05 is a quarter of what true words are worth to "
        "the learner.",
        "controls": [
            {"what": "tuning twice as long against tuning", "measure": "gain_of_longer_tuning"},
            {"what": "pre-training against random weights", "measure": "gain_of_pretraining"},
        ],
    },
}

PROMPTS = {
    "no_words": "any shots, no words",
    "hard_no_words": "hard shots, no words",
    "hard_random_words": "hard shots, random words",
    "norm": "norm of the gradient",
    "contrastive_norm": "norm, contrastive",
    "pretrained": "AMPLIFY: gradient times input",
    "contrastive": "the same, contrastive",
    "any": "AMPLIFY, mistaken shots at random",
    "computed_words": "AMPLIFY, any shots at random",
    "easy": "AMPLIFY, lowest confidence",
    "tuned": "AMPLIFY, proxy tuned",
    "hard_true_words": "hard shots, true words",
}
"""Kinds of prompt, by measure; gradient times input and the highest confidence unless they say otherwise."""

TAUGHT, UNTAUGHT = "taught with rationales", "never saw rationales"


def _one(runs: pd.DataFrame, metric: str, arm: str = TAUGHT) -> float:
    return float(runs[f"metrics.{metric}"].to_dict()[arm])


def _lead(runs: pd.DataFrame, ours: tuple[str, ...], rivals: tuple[str, ...], arm: str = TAUGHT) -> float:
    """The worst of ours minus the best of the rivals."""
    return min(_one(runs, f"accuracy_{name}", arm) for name in ours) - max(
        _one(runs, f"accuracy_{name}", arm) for name in rivals
    )


WORDLESS = ("no_words", "hard_no_words")
NORMS, PRODUCTS = ("norm", "contrastive_norm"), ("pretrained", "contrastive")


def gain(runs: pd.DataFrame) -> float:
    """Accuracy of AMPLIFY over the best prompt without computed words."""
    return _lead(runs, ("pretrained",), (*WORDLESS, "hard_random_words"))


def gain_of_true_words(runs: pd.DataFrame) -> float:
    """The same for true words."""
    return _lead(runs, ("hard_true_words",), (*WORDLESS, "hard_random_words"))


def gain_of_random_words(runs: pd.DataFrame) -> float:
    """Random words over no words."""
    return _lead(runs, ("hard_random_words",), WORDLESS)


def gain_untaught(runs: pd.DataFrame) -> float:
    """The gain of a learner that never saw a rationale."""
    return _lead(runs, ("pretrained",), (*WORDLESS, "hard_random_words"), UNTAUGHT)


def gain_of_hard_shots(runs: pd.DataFrame) -> float:
    """Highest confidence in a wrong label over random choice, of two kinds, and lowest confidence."""
    return _lead(runs, ("pretrained",), ("any", "computed_words", "easy"))


def gain_of_well_explained_shots(runs: pd.DataFrame) -> float:
    """The same for shots chosen with knowledge of the key words."""
    return _lead(runs, ("well_explained",), ("any", "computed_words", "easy"))


def gain_of_easy_shots(runs: pd.DataFrame) -> float:
    """Lowest confidence over the others."""
    return _lead(runs, ("easy",), ("any", "computed_words", "pretrained"))


def gain_of_products(runs: pd.DataFrame) -> float:
    """The worse product of gradient and input over the better norm."""
    return _lead(runs, PRODUCTS, NORMS)


def true_words_over_norms(runs: pd.DataFrame) -> float:
    """True words over the better norm."""
    return _lead(runs, ("hard_true_words",), NORMS)


def gain_of_norms(runs: pd.DataFrame) -> float:
    """The worse norm over the better product."""
    return _lead(runs, NORMS, PRODUCTS)


def gain_of_tuning(runs: pd.DataFrame) -> float:
    """A tuned proxy over one that was only pre-trained."""
    return _lead(runs, ("tuned",), ("pretrained",))


def gain_of_longer_tuning(runs: pd.DataFrame) -> float:
    """Tuning twice as long over tuning."""
    return _lead(runs, ("tuned_longer",), ("tuned",))


def gain_of_pretraining(runs: pd.DataFrame) -> float:
    """A pre-trained proxy over one with random weights."""
    return _lead(runs, ("pretrained",), ("untrained",))


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the learner by what its prompt holds, and of the proxy by itself; one row per learner or proxy."""
    columns = {
        "metrics.proxy_pretrained": "proxy itself",
        "metrics.found_pretrained": "its words hold the key",
        "metrics.accuracy_no_words": "no words",
        "metrics.accuracy_hard_no_words": "hard shots, no words",
        "metrics.accuracy_hard_random_words": "random words",
        "metrics.accuracy_norm": "norm",
        "metrics.accuracy_pretrained": "AMPLIFY",
        "metrics.accuracy_contrastive": "contrastive",
        "metrics.accuracy_any": "mistaken shots at random",
        "metrics.accuracy_computed_words": "any shots at random",
        "metrics.accuracy_easy": "easy shots",
        "metrics.accuracy_tuned": "proxy tuned",
        "metrics.accuracy_hard_true_words": "true words",
        "metrics.best_true_words": "best reader, true words",
    }
    return mean_table(runs, columns, {"arm": "learner or proxy"})


def figure(runs: pd.DataFrame) -> dict[str, object]:
    """Vega-Lite: accuracy by kind of prompt, and accuracy against the share of rationales that hold the key."""
    summary = by_arm(runs, [f"metrics.accuracy_{name}" for name in PROMPTS]).set_index("arm")
    bars = [
        {
            "prompt": label,
            "learner": arm,
            "accuracy": mean,
            "low": mean - _one(summary, f"accuracy_{name}_ci", arm),
            "high": mean + _one(summary, f"accuracy_{name}_ci", arm),
        }
        for arm in (TAUGHT, UNTAUGHT)
        for name, label in PROMPTS.items()
        for mean in [_one(summary, f"accuracy_{name}", arm)]
    ]
    means = runs.groupby("arm", sort=False).mean(numeric_only=True)
    found = [
        {
            "prompt": label,
            "learner": arm,
            "found": _one(means, f"found_{name}", str(arm)),
            "accuracy": _one(means, f"accuracy_{name}", str(arm)),
        }
        for arm in means.index
        for name, label in PROMPTS.items()
        if not name.endswith("no_words")
    ]
    limits = [
        {"reader": name.replace("_", " "), "accuracy": _one(means, f"best_{name}")}
        for name in ("no_words", "true_words")
    ]
    colour = nominal("learner", "learner or proxy", sort=list(means.index))
    accuracy = quantitative("accuracy", "accuracy", scale={"zero": False})
    prompts = nominal("prompt", None, sort=list(PROMPTS.values()))
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "hconcat": [
            {
                "width": 280,
                "height": 300,
                "layer": [
                    layer(
                        {"type": "rule", "strokeDash": [4, 4], "color": "gray"},
                        limits,
                        x=accuracy,
                        tooltip=[{"field": "reader", "title": "best reader"}],
                    ),
                    layer(
                        {"type": "rule"},
                        bars,
                        y=prompts,
                        x={**accuracy, "field": "low"},
                        x2={"field": "high"},
                        color=colour,
                    ),
                    layer(
                        {"type": "point", "filled": True, "size": 60},
                        bars,
                        y=prompts,
                        x=accuracy,
                        color=colour,
                    ),
                ],
            },
            {
                "width": 260,
                "height": 300,
                "data": {"values": records_of(pd.DataFrame(found))},
                "mark": {"type": "point", "filled": True, "size": 60},
                "encoding": {
                    "x": quantitative("found", "share of rationales that hold the key word"),
                    "y": accuracy,
                    "color": colour,
                    "tooltip": [{"field": "prompt"}, {"field": "found"}, {"field": "accuracy"}],
                },
            },
        ],
    }


def conclusion(runs: pd.DataFrame) -> str:
    """What computed words add next to true ones, by learner and proxy, and what selection and tuning add."""
    seeds = [one.set_index("arm") for _, one in runs.groupby("seed")]
    means = runs.groupby("arm").mean(numeric_only=True)

    def told(measure: Callable[[pd.DataFrame], float]) -> str:
        values = pd.Series([measure(one) for one in seeds])
        return f"{values.mean():+.3f} ± {half_width(values):.3f}"

    lead = pd.Series([gain_of_hard_shots(one) for one in seeds])
    decided = "beat" if lead.mean() > half_width(lead) else "do not clearly beat"
    by_proxy = {
        arm: _lead(means, ("pretrained",), (*WORDLESS, "hard_random_words"), arm)
        for arm in ("poorer proxy", "better proxy")
    }
    return (
        f"Computed words change the learner's accuracy by {told(gain)} against the best prompt without them, true "
        f"words by {told(gain_of_true_words)}. A learner that was never taught with words in its prompts changes by "
        f"{told(gain_untaught)}. With a poorer proxy ({_one(means, 'proxy_pretrained', 'poorer proxy'):.2f} right by "
        f"itself) computed words are worth {by_proxy['poorer proxy']:+.3f}, with a better one "
        f"({_one(means, 'proxy_pretrained', 'better proxy'):.2f}) {by_proxy['better proxy']:+.3f}. Shots on which the "
        f"proxy is most confidently wrong {decided} the other choices ({told(gain_of_hard_shots)}), and tuning, which "
        f"takes the proxy from {_one(means, 'proxy_pretrained'):.2f} to {_one(means, 'proxy_tuned'):.2f}, adds "
        f"{told(gain_of_tuning)}."
    )
