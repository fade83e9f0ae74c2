# Darkroom: labelled images in, trained classifiers and a report out.
# The includes stand in the order of the data; docs/design.md says why each stage is as it is.
from snakemake.utils import min_version

min_version("9.0")


report: "report/workflow.rst"


configfile: f"{workflow.current_basedir}/config.yaml"


include: "rules/common.smk"


rule all:
    input:
        inputs.each("results/{dataset}/report.html"),


include: "rules/download.smk"
include: "rules/index.smk"
include: "rules/prepare.smk"
include: "rules/embed.smk"
include: "rules/tune.smk"
include: "rules/train.smk"
include: "rules/classify.smk"
include: "rules/report.smk"
include: "rules/predict.smk"
include: "rules/export.smk"


if not SHARED_DISK:
    run.engine.constrain_stored_files()
