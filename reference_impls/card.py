"""The card of a reward model as Markdown: what was measured, what is stated, and what nobody has answered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reference_impls.records import Record
from reference_impls.registry import Problem, did_you_mean

# Questions 1 to 7 follow the open questions of lambert2023history's authors; the rest is what makes them answerable.
QUESTIONS = {
    "context": "In which setting were labels collected: who was paid, through which interface, with what fatigue?",
    "instructions": "What were annotators told, and did they follow it or their own values?",
    "feedback": "Which kind of feedback was asked for, and was a richer kind compared with it?",
    "people": "Who labelled: how many people, and whom do they represent?",
    "disagreement": "How often do annotators disagree, and is that treated as noise or as signal?",
    "transfer": "Do the labels carry over from the labelling setting to those who use the model?",
    "audit": "Does a policy trained on the model show the preferences that were specified?",
    "training": "Which base model, loss, data and schedule? Is the model calibrated?",
    "accuracy": "How accurate is it on held-out comparisons, beside the annotators' own agreement?",
    "biases": "Which biases were probed: length, format, position, sycophancy, refusals, dialect?",
    "optimisation": "How far can a policy be pushed against it before the true reward falls?",
    "attacks": "How does it score adversarial and harmful content?",
    "uses": "What is it meant for and not meant for, and whose values does it hold?",
    "openness": "Are weights and data open, or why not?",
}
UNANSWERED = "*Unanswered.*"


def read_answers(path: Path) -> dict[str, str]:
    """Answers from a YAML file of question and text. Raises Problem that names file, line and question."""
    import yaml

    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path} cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Problem(f"{path}:{mark.line + 1 if mark else 1}: {getattr(error, 'problem', error)}.") from None
    if not isinstance(found, dict):
        raise Problem(f"{path}:1: expected lines of the form 'question: answer'.")
    for name, text in found.items():
        if name not in QUESTIONS:
            raise Problem(f"{path}: there is no question {name!r}{did_you_mean(str(name), QUESTIONS)}")
        if not isinstance(text, str):
            raise Problem(f"{path}: the answer to {name!r} is not text.")
    return found


def markdown(record: Record, given: Mapping[str, str], own: bool) -> str:
    """The card for a record of ``reward-model-card``; ``own``: scores of the reader's model, not one trained here."""
    m, bed, config = record["metrics"], record["bed_config"], record["config"]
    measured = _measured(m, bed, config, own)
    lines = [
        "# Reward-model card",
        "",
        f"Model: {'scores read from a file' if own else _trained(config)}. Bed: exact, instance and seed "
        f"{record['seed']}. Made {record['date']}. Intervals are 95 %, over {config['audit']:,} audit pairs that "
        "annotators without a planted bias labelled twice.",
        "",
        "| measured | value |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in _numbers(m)),
        "",
        "| KL to the reference (nats) | gold reward | score of the model |",
        "| --- | --- | --- |",
        *_push(m),
        "",
    ]
    for key, question in QUESTIONS.items():
        parts = [part for part in (measured.get(key), _quoted(given.get(key, ""))) if part]
        lines += [f"## {question}", "", *("\n\n".join(parts) if parts else UNANSWERED).splitlines(), ""]
    return "\n".join(lines)


def unanswered(path: Path) -> list[str]:
    """The questions to which a card has no answer."""
    text = path.read_text(encoding="utf-8")
    return [key for key, question in QUESTIONS.items() if f"## {question}\n\n{UNANSWERED}" in text]


def _trained(config: Mapping[str, Any]) -> str:
    return (
        f"Bradley-Terry on the reference's trunk, {config['labels']:,} labels, {config['steps']} updates of "
        f"{config['batch']} pairs, learning rate {config['lr']:g}"
    )


def _numbers(m: Mapping[str, float]) -> list[tuple[str, str]]:
    def shown(name: str, digits: int = 3) -> str:
        return f"{m[name]:.{digits}f} ± {m[name + '_width']:.{digits}f}"

    return [
        ("agreement with an annotator, known prompts", shown("accuracy")),
        ("agreement with an annotator, held-out prompts", shown("heldout_accuracy")),
        ("agreement of two annotators (what one label is worth as a guess at another)", shown("ceiling")),
        ("calibration slope (1 is calibrated, less is over-confident)", shown("calibration", 2)),
        ("length probe (0 is no bias, above 0 it prefers length)", shown("length_probe")),
        ("highest gold reward along the push", f"{m['peak_gold']:.2f} at {m['peak_kl']:.1f} nats"),
        ("gold reward lost after it", f"{m['drop']:.2f}"),
    ]


def _push(m: Mapping[str, float]) -> list[str]:
    places = sorted(int(name.rpartition("_")[2]) for name in m if name.startswith("kl_at_"))
    return [f"| {m[f'kl_at_{p}']:.2f} | {m[f'gold_at_{p}']:.2f} | {m[f'proxy_at_{p}']:.2f} |" for p in places]


def _measured(
    m: Mapping[str, float], bed: Mapping[str, Any], config: Mapping[str, Any], own: bool
) -> dict[str, str]:
    """What the bed itself answers."""
    found = {
        "feedback": "Pairs of answers to one prompt; no other kind was compared.",
        "disagreement": (
            f"Measured: two annotators agree on {m['ceiling']:.1%} of pairs. Disagreement is treated as noise: one "
            "Bradley-Terry model for all."
        ),
        "audit": (
            f"Measured: the exact optimum for the model's scores reaches {m['gap_closed']:.2f} of the way from the "
            "reference to the optimum for the true reward."
        ),
        "accuracy": (
            f"Measured: {m['accuracy']:.1%} on known and {m['heldout_accuracy']:.1%} on held-out prompts; two "
            f"annotators agree on {m['ceiling']:.1%}, and a model that knew the true "
            "reward would do better than either."
        ),
        "biases": (
            f"Measured: length, {m['length_probe']:+.3f} ± {m['length_probe_width']:.3f}. Position does not apply: "
            "each answer is scored alone. Format, sycophancy, refusals and dialect: not probed."
        ),
        "optimisation": (
            f"Measured: gold reward is highest ({m['peak_gold']:.2f}) at {m['peak_kl']:.1f} nats and {m['drop']:.2f} "
            "lower at the hardest push."
        ),
    }
    if not own:
        found["context"] = "Simulated annotators on the exact bed; there was no interface and no fatigue."
        found["training"] = f"{_trained(config)}. Measured: calibration slope {m['calibration']:.2f}."
        if bias := bed.get("length_bias") or bed.get("planted_bias"):
            found["instructions"] = f"The simulated annotators were given a bias of {bias:g} sd on purpose."
    return found


def _quoted(answer: str) -> str:
    """An answer that somebody gave, as a quotation: whatever it holds, it makes no heading and no HTML."""
    text = answer.replace("&", "&amp;").replace("<", "&lt;")
    return "\n".join(f"> {line}" for line in text.splitlines()) if text.strip() else ""
