"""Figures and the page of one data set."""

from darkroom import report
from darkroom.stage import stage

with stage(snakemake):  # noqa: F821
    report.write_report(
        **dict(snakemake.input.items()),  # noqa: F821
        output=snakemake.output.page,  # noqa: F821
        figures=snakemake.output.figures,  # noqa: F821
        benchmarks=snakemake.params.benchmarks,  # noqa: F821
        cfg=snakemake.params.cfg,  # noqa: F821
    )
