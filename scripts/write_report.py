"""Figures and the page of one data set."""

from darkroom import report
from darkroom.machine.stage import stage

with stage(snakemake):
    report.write_report(
        **{k: v for k, v in snakemake.input.items() if k != "shards"},
        output=snakemake.output.page,
        figures=snakemake.output.figures,
        benchmarks=snakemake.params.benchmarks,
        cfg=snakemake.params.cfg,
    )
