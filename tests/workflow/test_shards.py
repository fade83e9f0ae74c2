"""A data set in shards: other jobs, the same predictions."""

from __future__ import annotations

import pandas as pd

from tests.support.workspace import Workspace
from tests.workflow.test_reruns import COPIED, PREPARED, SPLIT, VARIED

INDEX = {"list_files", "index_shard", "join_index"}
PIXELS = {"prepare_shard", "join_images"}
AFTER = {"check_files"} | COPIED | VARIED
SHARDED = INDEX | PIXELS | AFTER


def test_shards_change_jobs_and_no_result(workspace: Workspace, finished: Workspace) -> None:
    shapes = workspace.config["datasets"]["shapes"]
    shapes["shards"] = 3
    workspace.run()
    tables = [
        pd.read_parquet(w.root / "results/shapes/predictions.parquet")
        for w in (workspace, finished)
    ]
    pd.testing.assert_frame_equal(*tables)
    manifests = [w.root / "results/shapes/manifest.parquet" for w in (workspace, finished)]
    columns = [pd.read_parquet(path) for path in manifests]
    pd.testing.assert_frame_equal(*columns)
    views = 2  # the data set's, and that of the pixels
    shapes["decode"] = {"alpha": "black"}
    pending = workspace.pending()
    assert set(pending) == SHARDED - {"list_files"}  # which opens no image
    assert (pending["index_shard"], pending["prepare_shard"]) == (3, 3 * views)
    assert (pending["join_index"], pending["join_images"]) == (1, views)
    del shapes["decode"]

    shapes["split"] = {"seed": 5}
    assert set(workspace.pending()) == SPLIT
    del shapes["split"]

    shapes["shards"] = 4
    assert set(workspace.pending()) == SHARDED - {"list_files"}
    shapes["shards"] = 1
    whole = {"index_files", "check_files"} | COPIED | PREPARED
    assert set(workspace.pending()) == whole
    shapes["shards"] = 3

    next(workspace.root.glob("results/shapes/images/12x12-*.shards/2.h5")).unlink()
    workspace.config["models"]["tiny"]["batch"] = 5
    assert workspace.pending() == {
        "prepare_shard": 1, "join_images": 1, "audit_dataset": 1, "augment_images": 1, "train_model": 1,
        "extract_features": 1, "fit_classifier": 2, "evaluate_dataset": 1, "write_report": 1,
    }  # fmt: skip
