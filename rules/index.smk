rule index_files:
    """Each file of a source is read once, whole, and described.

    in   source.json and the files that it points to
    out  manifest.parquet: a row a file, with label, given split, group, checksums, and what is wrong
    """
    input:
        source="data/{dataset}/source.json",
    output:
        manifest="results/{dataset}/manifest.parquet",
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
    """What the names tell of each file of a data set with `shards`: no image is opened.

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
    """The files of one shard, each read once, whole, and described.

    in   source.json and the files that it points to, index/listing.parquet
    out  index/{shard}.parquet: a row a file of the shard
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
    """One manifest of all shards: copies and links are found among all files.

    in   source.json, index/listing.parquet, every index/{shard}.parquet
    out  manifest.parquet: the same as index_files makes of a data set without shards
    """
    input:
        source="data/{dataset}/source.json",
        listing="results/{dataset}/index/listing.parquet",
        parts=inputs.index_shards,
    output:
        manifest="results/{dataset}/manifest.parquet",
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
    """Too many unusable files stop the run here, with their list.

    in   manifest.parquet
    out  unusable.csv: the files that no stage uses, and why

    What follows takes the list as `ancient`. Another limit checks again only where it would stop
    what was indexed: Snakemake does not look at what stands behind a job that runs, `ancient` or
    not, and so would not see another change that comes with the limit.
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


rule split_rows:
    """Classes are chosen, and each row gets its place in each fold.

    in   manifest.parquet
    out  splits.parquet: class, group and one column a fold
         class_indices.json: the number of each class, for people
    """
    input:
        manifest="results/{dataset}/manifest.parquet",
        unusable=ancient("results/{dataset}/unusable.csv"),
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
