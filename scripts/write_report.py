"""Write the figures and the report of one data set."""

from pathlib import Path

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.report.report import write_report

    write_report(
        **{k: v for k, v in snakemake.input.items() if k not in ("shards", "parts")},
        output=snakemake.output.page,
        answer=snakemake.output.answer,
        model_card=snakemake.output.model_card,
        figures=snakemake.output.figures,
        benchmarks=str(Path(snakemake.output.page).with_name("benchmarks")),
        stages=snakemake.params.stages,
        cfg=snakemake.params.cfg,
    )
