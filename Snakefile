# Darkroom: labelled images in, trained classifiers and a report out.
# The includes stand in the order of the data; docs/design.md says why each stage is as it is.
from snakemake.utils import min_version

min_version("9.0")


report: "report/workflow.rst"


configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"


rule all:
    input:
        collect("results/{dataset}/report.html", dataset=settings.run.datasets),


include: "rules/download.smk"
include: "rules/index.smk"
include: "rules/prepare.smk"
include: "rules/embed.smk"
include: "rules/tune.smk"
include: "rules/train.smk"
include: "rules/classify.smk"
include: "rules/report.smk"
include: "rules/predict.smk"


# On a cluster these run where Snakemake does: what needs the internet, and what takes a second.
localrules:
    all,
    download,
    prepare,
    train,
    classify,
    report,
    predict,
    download_weights,
    choose_setting,
    choose_classifier_setting,


# What a source is unpacked to is no rule's output: without a shared disk it stays where it is read.
if workflow.storage_settings.default_storage_provider is None:

    localrules:
        download_source,

    # And tables and reports of so few images that a cluster would take longer to start their jobs.
    if demand.small(settings):

        localrules:
            check_files,
            split_rows,
            evaluate_dataset,
            write_report,

else:

    constrain_stored_files()
