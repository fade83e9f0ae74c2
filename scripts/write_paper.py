"""Write the tables, the paragraph on methods and the figures of a paper."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.report.paper import write_paper

    write_paper(
        **{k: v for k, v in snakemake.input.items() if k != "shards"},
        tables=snakemake.output.tables,
        methods=snakemake.output.methods,
        figures=snakemake.output.figures,
        cfg=snakemake.params.cfg,
    )
