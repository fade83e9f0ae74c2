rule index_files:
    """Read, hash and decode each file of a source once.

    in   source.json and the files that it points to
    out  manifest.parquet: one row per file with label, given split, group, checksum, status
         thumbnails.npy: a gray thumbnail of each file
    """
    input:
        source="data/{dataset}/source.json",
    output:
        manifest="results/{dataset}/manifest.parquet",
        thumbnails="results/{dataset}/thumbnails.npy",
    log:
        "logs/{dataset}/index_files.log",
    benchmark:
        "results/{dataset}/benchmarks/index_files.tsv"
    wildcard_constraints:
        dataset=WHOLE,
    conda:
        STAGES["index_files"].conda
    threads: settings.threads
    resources:
        **resources("index_files"),
    params:
        cfg=params.cfg("index_files"),
        code=code("index_files"),
    script:
        "../scripts/index_files.py"


rule list_files:
    """List the files of a data set with `shards`; no image is opened.

    in   source.json and the listing of the files that it points to
    out  index/listing.parquet: path, label, given split, group
    """
    input:
        source="data/{dataset}/source.json",
    output:
        "results/{dataset}/index/listing.parquet",
    log:
        "logs/{dataset}/list_files.log",
    benchmark:
        "results/{dataset}/benchmarks/list_files.tsv"
    wildcard_constraints:
        dataset=SHARDED,
    conda:
        STAGES["list_files"].conda
    resources:
        **resources("list_files"),
    params:
        cfg=params.cfg("list_files"),
        code=code("list_files"),
    script:
        "../scripts/list_files.py"


rule index_shard:
    """Read, hash and decode each file of one shard once.

    in   source.json and the files that it points to, index/listing.parquet
    out  index/{shard}.parquet: one row per file of the shard
    """
    input:
        source="data/{dataset}/source.json",
        listing="results/{dataset}/index/listing.parquet",
    output:
        "results/{dataset}/index/{shard}.parquet",
    log:
        "logs/{dataset}/index_shard-{shard}.log",
    benchmark:
        "results/{dataset}/benchmarks/index_shard-{shard}.tsv"
    wildcard_constraints:
        dataset=SHARDED,
    conda:
        STAGES["index_shard"].conda
    threads: settings.threads
    resources:
        **resources("index_shard"),
    params:
        cfg=params.cfg("index_shard"),
        code=code("index_shard"),
    script:
        "../scripts/index_shard.py"


rule join_index:
    """Join the shards into one manifest, with copies and links among all files.

    in   source.json, index/listing.parquet, every index/{shard}.parquet
    out  manifest.parquet, thumbnails.npy: equal to the outputs of index_files
    """
    input:
        source="data/{dataset}/source.json",
        listing="results/{dataset}/index/listing.parquet",
        parts=inputs.index_shards,
    output:
        manifest="results/{dataset}/manifest.parquet",
        thumbnails="results/{dataset}/thumbnails.npy",
    log:
        "logs/{dataset}/join_index.log",
    benchmark:
        "results/{dataset}/benchmarks/join_index.tsv"
    wildcard_constraints:
        dataset=SHARDED,
    conda:
        STAGES["join_index"].conda
    resources:
        **resources("join_index"),
    params:
        cfg=params.cfg("join_index"),
        code=code("join_index"),
    script:
        "../scripts/join_index.py"


rule check_files:
    """List the unusable files, and stop the run where there are too many.

    in   manifest.parquet
    out  unusable.csv: path, label and reason of each unusable file

    Later rules take the list as `ancient`. A changed limit reruns this check only where it would
    stop the run: Snakemake does not examine the rules after a job that reruns, `ancient` or not,
    and would miss other changes made together with the limit.
    """
    input:
        manifest="results/{dataset}/manifest.parquet",
    output:
        report(
            "results/{dataset}/unusable.csv",
            caption="../report/unusable.rst",
            category="{dataset}",
            labels={"table": "unusable files"},
        ),
    log:
        "logs/{dataset}/check_files.log",
    benchmark:
        "results/{dataset}/benchmarks/check_files.tsv"
    localrule: SMALL
    conda:
        STAGES["check_files"].conda
    resources:
        **resources("check_files"),
    params:
        cfg=params.cfg("check_files"),
        within=params.within_limit,
        limit=params.limit,
        code=code("check_files"),
    script:
        "../scripts/check_files.py"


rule find_copies:
    """Find images that show the same picture: equal files, equal pixels, near copies.

    in   manifest.parquet, thumbnails.npy
    out  copies.parquet, copies.csv: each copy, what it is a copy of, and how they differ
    """
    input:
        manifest="results/{dataset}/manifest.parquet",
        thumbnails="results/{dataset}/thumbnails.npy",
        unusable=ancient("results/{dataset}/unusable.csv"),
    output:
        copies="results/{dataset}/copies.parquet",
        table=report(
            "results/{dataset}/copies.csv",
            caption="../report/copies.rst",
            category="{dataset}",
            labels={"table": "copies"},
        ),
    log:
        "logs/{dataset}/find_copies.log",
    benchmark:
        "results/{dataset}/benchmarks/find_copies.tsv"
    localrule: SMALL
    conda:
        STAGES["find_copies"].conda
    threads: settings.threads
    resources:
        **resources("find_copies"),
    params:
        cfg=params.cfg("find_copies"),
        code=code("find_copies"),
    script:
        "../scripts/find_copies.py"


rule split_rows:
    """Choose the classes, and assign each row to a part in each fold.

    in   manifest.parquet, copies.parquet
    out  splits.parquet: class, group and one column per fold
         class_indices.json: the number of each class
    """
    input:
        manifest="results/{dataset}/manifest.parquet",
        copies="results/{dataset}/copies.parquet",
    output:
        splits="results/{dataset}/splits.parquet",
        indices="results/{dataset}/class_indices.json",
    log:
        "logs/{dataset}/split_rows.log",
    benchmark:
        "results/{dataset}/benchmarks/split_rows.tsv"
    localrule: SMALL
    conda:
        STAGES["split_rows"].conda
    resources:
        **resources("split_rows"),
    params:
        cfg=params.cfg("split_rows"),
        code=code("split_rows"),
    script:
        "../scripts/split_rows.py"
