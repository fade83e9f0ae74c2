rule download:
    """Target: the sources of all data sets in `run`."""
    input:
        each("data/{dataset}/source.json"),


rule download_source:
    """A source string becomes files on this disk.

    in   nothing, or the local archive that the source names
    out  source.json: where the files are, what they are and where they came from.
         The files stand beside it in data/{dataset}/files; a folder is never copied.
    """
    input:
        archive=lambda w: sources.local_input(settings.datasets[w.dataset].source) or [],
    output:
        "data/{dataset}/source.json",
    log:
        "logs/{dataset}/download_source.log",
    benchmark:
        "results/{dataset}/benchmarks/download_source.tsv"
    conda:
        "../envs/data.yaml"
    params:
        cfg=cfg("download"),
        tree=lambda w: sources.tree_digest(settings.datasets[w.dataset].source),
        code=code("download_source"),
    script:
        "../scripts/download_source.py"
