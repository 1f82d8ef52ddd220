"""What was tried and chosen about the peers; all else is RecBole 1.2.1's own default."""

from __future__ import annotations

# RecBole's own batch of 2,048 takes 41 steps an epoch on ML-100K: at its rate of 1e-3 GRU4Rec stood at popularity's
# recall after three epochs. 256 is the batch that this project's model takes there. Its patience of ten epochs is cut
# to three.
_COMMON: dict[str, object] = {"train_batch_size": 256, "epochs": 60, "stopping_step": 3}

CANDIDATES: dict[str, list[dict[str, object]]] = {
    "GRU4Rec": [
        _COMMON | {"learning_rate": 0.003, "dropout_prob": 0.3},
        _COMMON | {"learning_rate": 0.003, "dropout_prob": 0.5},
        _COMMON | {"learning_rate": 0.001, "dropout_prob": 0.3},
        _COMMON | {"learning_rate": 0.003, "dropout_prob": 0.3, "embedding_size": 128},
        _COMMON | {"learning_rate": 0.003, "dropout_prob": 0.5, "embedding_size": 128},
    ],
    "SASRec": [
        _COMMON | {"learning_rate": 0.001, "hidden_dropout_prob": 0.5, "attn_dropout_prob": 0.5},
        _COMMON | {"learning_rate": 0.001, "hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2},
        _COMMON | {"learning_rate": 0.003, "hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2},
        _COMMON
        | {
            "learning_rate": 0.001,
            "hidden_dropout_prob": 0.5,
            "attn_dropout_prob": 0.5,
            "hidden_size": 128,
            "inner_size": 512,
        },
    ],
}
"""What `python -m benchmarks.peers.choose` compares."""

HELD_OUT_SHARE = 0.05
"""Of the train windows, held out for the chosen options to stop on: the learning rate is constant, so that they have
to, unlike this project's model."""

OPTIONS: dict[str, dict[str, object]] = {"GRU4Rec": CANDIDATES["GRU4Rec"][1], "SASRec": CANDIDATES["SASRec"][0]}
"""The best candidate of each peer on held-out train windows of ML-100K's random split: recall@10 was 0.1784 and 0.1839.
Their figures stand in docs/quality.md. The last candidate of each was not tried."""
