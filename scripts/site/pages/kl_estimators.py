"""The truth table of KL estimators, from the record that enumeration wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scripts.site.escape import Html, element, join
from scripts.site.model import Table
from scripts.site.source import code_block
from scripts.site.view import Heading, Page, View, data_table, details

from .parts import table_page

Cell = Mapping[str, Any]
Row = tuple[str, ...]

PATH = "kl-estimators.md"
TITLE = "KL estimators"
INTRODUCTION = (
    "A policy is kept near its reference by a penalty that is estimated from samples. Which estimator is used, "
    "and where, decides what is really penalised. Here every case is computed exactly, by listing all answers."
)
FORWARD = "KL(policy || reference)"
BACKWARD = "KL(reference || policy)"
SYMBOLS = {
    FORWARD: r"$\mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}})$",
    BACKWARD: r"$\mathrm{KL}(\pi_{\mathrm{ref}} \,\|\, \pi)$",
    "half chi-square(policy || reference)": r"$\frac{1}{2} \chi^2(\pi \,\|\, \pi_{\mathrm{ref}})$",
    "total variation": "total variation",
    f"{FORWARD} - {BACKWARD}": (
        r"$\mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}}) - \mathrm{KL}(\pi_{\mathrm{ref}} \,\|\, \pi)$"
    ),
    f"E_policy[k2] - {FORWARD}": r"$\mathbb{E}_\pi[k_2] - \mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}})$",
    f"half chi-square - {FORWARD}": r"$\frac{1}{2} \chi^2 - \mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}})$",
    f"the part of {FORWARD} from answers that became more likely": (
        r"the part of $\mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}})$ from answers that became more likely"
    ),
    f"the part of {FORWARD} from answers that became less likely": (
        r"the part of $\mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}})$ from answers that became less likely"
    ),
    "KL(old || policy)": r"$\mathrm{KL}(\pi_{\mathrm{old}} \,\|\, \pi)$",
    "half Var_old[log-ratio]": r"half the variance of $\rho$ over the old policy's answers",
    "E_old[this estimate]": "this estimate's mean over the old policy's answers",
    "zero": "nothing: zero on average, noise only",
}
ESTIMATORS = {"k1": "$k_1$", "k2": "$k_2$", "k3": "$k_3$", "k1 clamped": r"$\max(k_1, 0)$"}
UNITS = {"sequence": "whole answer", "token": "summed over tokens"}

QUESTION = r"""
With $\rho = \log(\pi(y) / \pi_{\mathrm{ref}}(y))$ for an answer $y$ that the policy $\pi$ wrote, four estimates
of $\mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}})$ are in use:

$$k_1 = \rho, \qquad k_2 = \frac{1}{2} \rho^2, \qquad k_3 = e^{-\rho} - 1 + \rho, \qquad \max(k_1, 0).$$

Each can be taken of the **whole answer**, or of every token and **summed**. Each can stand in two places. In the
**reward** it is a number: it is subtracted from the score, and the policy gradient does the rest. In the **loss**
it is differentiated, with the answers held fixed. The two look alike in code and are not alike: what matters for
training is not the value of the estimate but the **gradient that many answers average to**, and that gradient may
belong to another quantity than the one whose value is estimated.
"""
SHORT = r"""
- **In the reward, use $k_1$.** Per token or per answer, it is exact: the mean gradient is that of
  $\mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}})$. That $k_3$ is unbiased *as a value* does not help there.
- **In the loss, on whole answers:** $k_2$ descends $\mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}})$, $k_3$ descends
  $\mathrm{KL}(\pi_{\mathrm{ref}} \,\|\, \pi)$, and $k_1$ descends nothing at all.
- **In the loss, summed over tokens,** which is how most code does it, $k_2$ and $k_3$ follow a direction that is
  not the gradient of *any* function.
- **With the ratio upside down,** $k_1$ in the reward pays for drifting away.
"""
VALUES = r"""
The exact divergence is {forward:.3f} nats. The *mean* is what an estimate converges to with many answers, the
*deviation* how far a single answer's estimate lies from it. $k_1$ and $k_3$ are unbiased; clamping at zero, as the
code of sun2024salmon does for each token, removes just those terms that make $k_1$ unbiased.
"""
REWARD = r"""
The mean of $(K - b)\,\nabla_\theta \log \pi_\theta(y)$, with $K$ the estimate as a plain number and $b$ its mean.
*Cosine* is that of the angle to the true gradient of $\mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}})$: 1 is right, 0 is
unrelated, negative pulls the wrong way. *Length* is that of the mean gradient and *noise* the spread of one
answer's gradient, both in units of the true gradient's length.
"""
REWARD_AFTER = r"""
Why $k_3$ fails here: $k_3 = k_1 + (e^{-\rho} - 1)$. The bracket has mean zero for every policy, but as a reward it
does not have *gradient* zero; it contributes $-\nabla_\theta \mathrm{KL}(\pi_{\mathrm{ref}} \,\|\, \pi)$. Near the
reference the two divergences agree to second order, so the penalty all but vanishes there.
"""
LOSS = r"""
The mean of $\nabla_\theta K(y)$ over answers held fixed, as automatic differentiation computes it. Total
variation is $\frac12 \sum_y |\pi(y) - \pi_{\mathrm{ref}}(y)|$.
"""
LOSS_AFTER = r"""
*Why $k_1$ gives nothing:* its gradient is $\nabla_\theta \log \pi_\theta(y)$, whose mean under $\pi_\theta$ is zero.

*Why tokens are not enough:* a token also decides which prefixes come next. Summed over tokens, $k_2$ pulls each
next-token distribution towards the reference's, weighted by how often its prefix is visited, and forgets that
the visits change too. A direction is the gradient of some function only if its Jacobian is symmetric; these are
not, so there is nothing that is being minimised, and "no functional" is a proof and not a failure to find a name.
For answers of one token the difference disappears.
"""
REVERSED = r"""
A common slip is to pass the two log-probabilities in the other order, so that $\rho$ changes its sign. $k_2$ does
not notice. $\chi^2(\pi \,\|\, \pi_{\mathrm{ref}})$ is the mean of $\pi(y) / \pi_{\mathrm{ref}}(y)$ under the policy,
minus 1, and dominated by the answers that the reference hardly ever gives. Whole answers, written by the policy:
"""
OLD = r"""
Answers are often written by a slightly older policy, or at another temperature, and used without importance
weights. Here they come from a policy half way back to the reference (in logits). Every value is now biased; $k_1$
in the loss, mere noise before, *pushes the policy away from what it used to write*; and
$k_1$ in the reward becomes half the variance of the log-ratio, which is another quantity but has its minimum in the
right place. (The baseline is the mean over the same answers, as a group mean is.)
"""
METHOD = r"""
The language has {vocab} tokens and an end token, answers have at most {horizon} tokens, so there are {answers} of
them. Policy and reference have one free logit per prefix and token. Expectations are sums over all answers, and
gradients of these sums are taken by automatic differentiation in double precision. A direction gets a name only if
it equals the gradient of that functional to nine digits, here and on two other instances. The numbers depend on the
instance; the names do not.
"""


def page(view: View) -> Page:
    """The headlines, five small tables and all cases."""
    record = view.atlas.kl_table
    sections = None if record is None else _sections(view, record)
    return table_page(PATH, TITLE, INTRODUCTION, "rlhf kl-table --commit", sections)


def _sections(view: View, record: Mapping[str, Any]) -> Iterable[Html | Heading]:
    def pick(**wanted: str) -> list[Cell]:
        return [cell for cell in record["cells"] if all(cell[n] == v for n, v in wanted.items())]

    own = {"samples": "on policy", "direction": "right"}
    facts = {**record["setting"], "answers": record["answers"], "forward": record["functionals"][FORWARD]}
    whole = {"samples": "on policy", "direction": "reversed", "unit": "sequence"}
    old = {"samples": "off policy", "direction": "right"}
    return [
        view.prose(QUESTION),
        Heading("The short answer"),
        element("div", view.prose(SHORT), class_="callout"),
        Heading("As a number"),
        view.story(VALUES.format(**facts)),
        _values(view, pick(**own, place="loss"), "Means of the estimates, on policy"),
        Heading("In the reward"),
        view.prose(REWARD),
        _gradients(view, pick(**own, place="reward"), "Estimates in the reward, on policy"),
        view.prose(REWARD_AFTER),
        Heading("In the loss"),
        view.prose(LOSS),
        _gradients(view, pick(**own, place="loss"), "Estimates in the loss, on policy"),
        view.prose(LOSS_AFTER),
        Heading("With the ratio upside down"),
        view.prose(REVERSED),
        _gradients(view, pick(**whole), "Reversed estimates of whole answers, on policy", ("place",)),
        Heading("With an old policy's answers"),
        view.prose(OLD),
        _gradients(view, pick(**old), "Estimates from an old policy's answers", ("place", "unit")),
        Heading("All cases"),
        _everything(view, record["cells"]),
        Heading("How it was computed"),
        view.prose(METHOD.format(**facts)),
        code_block("rlhf kl-table", "bash"),
        element(
            "p",
            "Code: ",
            element("code", "reference_impls/core/kl_truth.py"),
            "; record: ",
            element("code", "reference_impls/records/kl-estimators.json"),
            ", which the tests recompute. Background: ",
            view.category("kl-control"),
            ".",
            class_="provenance",
        ),
    ]


def _values(view: View, cells: Iterable[Cell], caption: str) -> Html:
    columns: Row = ("estimate", "of", "mean", "bias", "deviation")
    rows: list[Row] = [
        (_estimator(view, c), UNITS[c["unit"]], _number(c["mean"]), _signed(c["bias"]), _deviation(c))
        for c in cells
    ]
    return data_table(Table(columns, tuple(rows)), caption)


def _gradients(view: View, cells: Iterable[Cell], caption: str, labels: tuple[str, ...] = ("unit",)) -> Html:
    columns: Row = ("estimate", *("of" if x == "unit" else "in the" for x in labels))
    columns += ("is the gradient of", "cosine", "length", "noise")
    rows: list[Row] = [
        (
            _estimator(view, c),
            *(UNITS.get(str(c[label]), str(c[label])) for label in labels),
            _functional(view, c),
            "–" if c["cosine"] is None else _signed(c["cosine"]),
            _number(c["gradient_norm"]),
            _number(c["gradient_noise"]),
        )
        for c in cells
    ]
    return data_table(Table(columns, tuple(rows)), caption)


def _everything(view: View, cells: Iterable[Cell]) -> Html:
    columns: Row = ("answers", "ratio", "in the", "of", "estimate", "mean", "bias", "deviation")
    columns += ("is the gradient of", "cosine", "length", "noise")
    rows: list[Row] = [
        (
            "the policy's" if c["samples"] == "on policy" else "the old policy's",
            "right" if c["direction"] == "right" else "upside down",
            c["place"],
            UNITS[c["unit"]],
            _estimator(view, c),
            _number(c["mean"]),
            _signed(c["bias"]),
            _deviation(c),
            _functional(view, c),
            "–" if c["cosine"] is None else _signed(c["cosine"]),
            _number(c["gradient_norm"]),
            _number(c["gradient_noise"]),
        )
        for c in cells
    ]
    caption = f"All {len(rows)} cases"
    return details(caption, data_table(Table(columns, tuple(rows)), caption), class_="fold figure-table")


def _estimator(view: View, cell: Cell) -> Html:
    return view.inline(ESTIMATORS.get(str(cell["estimator"]), str(cell["estimator"])))


def _functional(view: View, cell: Cell) -> Html:
    name = cell["functional"]
    if name is None:
        return element("strong", "no functional")
    shown = view.inline(SYMBOLS.get(str(name), str(name)))
    return join("minus ", shown) if (cell["scale"] or 1) < 0 else shown


def _deviation(cell: Cell) -> str:
    return _number(cell["variance"] ** 0.5)


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _signed(value: float) -> str:
    return "0" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")
