"""Figures and the page of one data set."""

from darkroom import report
from darkroom.stage import stage

with stage(snakemake):
    report.write_report(
        **dict(snakemake.input.items()),
        output=snakemake.output.page,
        figures=snakemake.output.figures,
        benchmarks=snakemake.params.benchmarks,
        cfg=snakemake.params.cfg,
    )
