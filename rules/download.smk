rule download:
    """Target: the sources of all data sets in `run`, and the weights of their backbones."""
    input:
        each("data/{dataset}/source.json"),
        lambda w: [
            f"data/weights/{name}.h5"
            for d in settings.run.datasets
            for name in settings.backbones_of(d)
        ],


rule download_source:
    """A source string becomes files on this disk.

    in   nothing, or the local archive that the source names
    out  source.json: where the files are, what they are and where they came from.
         The files stand beside it in data/{dataset}/files; a folder is never copied.
    """
    input:
        archive=lambda w: download.local_input(settings.datasets[w.dataset].source) or [],
    output:
        "data/{dataset}/source.json",
    log:
        "logs/{dataset}/download_source.log",
    benchmark:
        "results/{dataset}/benchmarks/download_source.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        **NEEDS,
    params:
        cfg=cfg("download"),
        tree=lambda w: download.tree_digest(settings.datasets[w.dataset].source),
        code=code("download_source"),
    script:
        "../scripts/download_source.py"


rule download_weights:
    """The weights of a backbone, fetched before any training and checked by their hash.

    in   nothing, or the local file that `weights` names
    out  weights/{features}.h5
    """
    input:
        local=lambda w: weights.local(settings.features[w.features].weights) or [],
    output:
        "data/weights/{features}.h5",
    log:
        "logs/weights/download_weights-{features}.log",
    benchmark:
        "logs/weights/download_weights-{features}.tsv"
    wildcard_constraints:
        features=one_of(settings.backbones),
    conda:
        "../envs/train.yaml"
    resources:
        **NEEDS,
        gpu=0,  # it builds the network to see that they fit, and must not do so on another job's card
    params:
        cfg=cfg("weights"),
        code=code("download_weights"),
    script:
        "../scripts/download_weights.py"
