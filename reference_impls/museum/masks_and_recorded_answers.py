"""A mask that stays behind, and a KL penalty on recorded answers that pushes away from the reference."""

BUGS = [
    {
        "key": "mask-of-the-first-policy",
        "title": "A mask that is renewed where nobody looks",
        "does": (
            "NLPO restricts sampling to the likely tokens of a lagged copy of the policy, and every few batches the "
            "copy becomes the policy of the moment. In the released code the new copy is kept by the policy object, "
            "but the processor that masks while generating goes on holding the copy it was given when it was made. "
            "Masks for training are read off what was generated, so that the mask is that of the first policy for "
            "good, whatever the renewal interval says, and ablations of that interval compare equal things."
        ),
        "kind": "formula",
        "sources": [
            {
                "repository": "allenai/RL4LMs",
                "commit": "97df0bd2f7406a906206c9610aea795fbf52884c",
                "date": "2023-03-30",
                "where": "envs/text_generation/policy/causal_policy.py and seq2seq_policy.py, update_mask_model",
                "link": "https://github.com/allenai/RL4LMs/blob/97df0bd/rl4lms/envs/text_generation/policy/"
                "causal_policy.py",
            },
        ],
        "module": "reference_impls.policy_gradient.nlpo",
        "replace": [("        self.keep = keep\n", "        self.latest = keep\n")],
        "killed_by": "renewal",
    },
    {
        "key": "kl-on-recorded-answers",
        "title": "A KL penalty on recorded answers that pushes away from the reference",
        "does": (
            "The variant of A-LoL with a KL term adds beta times the log-ratio of policy and reference to the loss, "
            "differentiated on answers from a data set. The log-ratio estimates the divergence only on the policy's "
            "own answers, and even there its mean slope is zero. On recorded ones descending it makes every answer "
            "of the data less likely: the weight is the positive advantage minus beta, and answers below that are "
            "pushed away."
        ),
        "kind": "formula",
        "sources": [
            {
                "repository": "abaheti95/LoL-RL",
                "commit": "9f8d81660bfa0bad17ae5d7835185987f028812e",
                "date": "2024-03-20",
                "where": "train_generation_task_with_off_policy_PG.py, kl_penalty of a_lol_kl",
                "link": "https://github.com/abaheti95/LoL-RL/blob/9f8d816/"
                "train_generation_task_with_off_policy_PG.py",
            },
        ],
        "module": "reference_impls.offline.weighted_imitation",
        "replace": [
            ("        return advantages.clamp(min=0)\n", "        return advantages.clamp(min=0) - beta\n")
        ],
        "killed_by": "weights",
    },
]
