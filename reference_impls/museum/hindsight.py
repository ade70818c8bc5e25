"""Hindsight: what is read and what is learned are not the same tokens."""

BUGS = [
    {
        "key": "chain-of-hindsight-mask-not-passed",
        "title": "A mask that is made, carried along, and not passed to the loss",
        "does": (
            "The data marked which tokens are answers, and the training step did not hand the marks to the loss, so "
            "that prompts and the words of feedback were learned like answers. The authors passed the mask on "
            "eighteen days after the release."
        ),
        "kind": "formula",
        "sources": [
            {
                "repository": "forhaoliu/chain-of-hindsight",
                "commit": "e1f70bb11e8976aa1cb98d6e4e334223f95aa1a7",
                "date": "2023-02-28",
                "where": "coh/coh_train.py, loss_and_accuracy (mended in 73adce6 on 2023-03-18)",
                "link": "https://github.com/forhaoliu/chain-of-hindsight/commit/73adce6",
            },
        ],
        "module": "reference_impls.filtering.hindsight",
        "replace": [
            ("return -masked_sum(logps, counted)", "return -logps.sum(-1)"),
        ],
        "killed_by": "counted_tokens",
    },
]
