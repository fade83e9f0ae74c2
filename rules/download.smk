rule download:
    """Target: the sources of all data sets in `run`, and the weights of their backbones."""
    input:
        inputs.each(
            "data/{dataset}/source.json",
            "data/weights/{backbone}.h5",
            "data/weights/{backbone}.onnx",
        ),


rule download_source:
    """Download, unpack or link a source.

    in   what tells of a change of a folder or archive on this disk; without a shared disk the archive
    out  source.json: location, listing and origin of the files.
         The files are beside it in data/{dataset}/files; a folder is never copied.
    """
    input:
        state=inputs.state if SHARED_DISK else inputs.archive,
    output:
        "data/{dataset}/source.json",
    log:
        "logs/{dataset}/download_source.log",
    benchmark:
        "results/{dataset}/benchmarks/download_source.tsv"
    localrule: SHARED_DISK
    conda:
        STAGES["download_source"].conda
    resources:
        **resources("download_source"),
    params:
        cfg=params.cfg("download_source"),
        address=params.address,
        content=params.content,
        code=code("download_source"),
    script:
        "../scripts/download_source.py"


rule download_weights:
    """Download the weights of a backbone before any training, verified by their hash.

    in   nothing; of a local file what tells of a change, without a shared disk the file
    out  weights/{features}.h5; weights/{features}.onnx: the backbone with them, without Keras
    """
    input:
        local=inputs.weights_state if SHARED_DISK else inputs.weights_file,
    output:
        weights="data/weights/{features}.h5",
        onnx="data/weights/{features}.onnx",
    log:
        "logs/weights/download_weights-{features}.log",
    benchmark:
        "logs/weights/download_weights-{features}.tsv"
    wildcard_constraints:
        features=one_of(settings.backbones),
    localrule: True
    conda:
        STAGES["download_weights"].conda
    resources:
        **resources("download_weights"),
    params:
        cfg=params.cfg("download_weights"),
        address=params.weights,
        code=code("download_weights"),
    script:
        "../scripts/download_weights.py"
