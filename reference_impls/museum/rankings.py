"""Losses on rankings: a supervised term that shrinks with the longest prompt of the batch."""

BUGS = [
    {
        "key": "rrhf-mean-over-the-padded-row",
        "title": "The best answer's likelihood, divided by the whole padded row",
        "does": (
            "The paper adds minus the log-likelihood of the best answer, a sum over its tokens. The code took the mean "
            "over the whole row, in which the prompt and the padding count with zeros: the supervised term became "
            "weaker the longer the longest row was, and the balance with the ranking term an accident of the batch."
        ),
        "kind": "formula",
        "sources": [
            {
                "repository": "GanjinZero/RRHF",
                "commit": "972e12e950230a44b2f88f0b62c59857458c0ad7",
                "date": "2023-04-11",
                "where": "train.py, sft_loss",
                "link": "https://github.com/GanjinZero/RRHF/blob/972e12e950230a44b2f88f0b62c59857458c0ad7/train.py",
            },
        ],
        "module": "reference_impls.filtering.ranking",
        "replace": [
            (
                "best_likelihood_loss(masked_sum(logps, mask), grades)",
                "best_likelihood_loss(masked_sum(logps, mask) / mask.shape[-1], grades)",
            ),
        ],
        "killed_by": "whole",
    },
]
