"""Learning from weak labels: how much a student may believe itself, and when."""

BUGS = [
    {
        "key": "confidence-warm-up-jumps",
        "title": "A warm-up that hardly warms, and then jumps",
        "does": (
            "During the warm-up the weight was multiplied by the share of the training that had passed, not by the "
            "share of the warm-up: it crept to a tenth of its size and rose tenfold in one step."
        ),
        "kind": "formula",
        "sources": [
            {
                "repository": "openai/weak-to-strong",
                "commit": "1dbfbd60eea0b79b7230fbc152bc9d305e66e5ec",
                "date": "2023-12-14",
                "where": "weak_to_strong/loss.py, logconf_loss_fn (pull request 33 of 2024-02-13 mends it)",
                "link": "https://github.com/openai/weak-to-strong/pull/33",
            },
        ],
        "module": "reference_impls.reward_models.weak_to_strong",
        "replace": [("progress / warmup if progress < warmup", "progress if progress <= warmup")],
        "killed_by": "warm_up",
    },
    {
        "key": "volume-removal-reversed",
        "title": "The question that removes least",
        "does": (
            "The volume that a reply is expected to remove is one minus the sum of the squared chances; the sum "
            "itself was returned, and the question with the largest was asked: the one whose answer was known best."
        ),
        "kind": "formula",
        "sources": [
            {
                "repository": "Stanford-ILIAD/APReL",
                "commit": "3b969249614cf8a1b0a0152d804e8c3e6aed2a2a",
                "date": "2021-08-14",
                "where": (
                    "aprel/querying/acquisition_functions.py, volume_removal, maximised in query_optimizer.py "
                    "(still so at 13a1e7f)"
                ),
                "link": (
                    "https://github.com/Stanford-ILIAD/APReL/blob/13a1e7f/aprel/querying/acquisition_functions.py"
                ),
            },
        ],
        "module": "reference_impls.reward_models.active_querying",
        "replace": [("return torch.minimum(mean, 1 - mean)", "return mean**2 + (1 - mean) ** 2")],
        "killed_by": "criteria",
    },
]
