"""Write the best model of a data set as a folder that predicts elsewhere."""

from darkroom.machine.stage import stage

with stage(snakemake):
    from darkroom.predict.export_model import export_model

    export_model(snakemake.output[0], cfg=snakemake.params.cfg)
