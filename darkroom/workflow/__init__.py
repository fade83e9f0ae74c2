"""What the Snakefile calls, and the commands about a run as a whole.

`stages` is the table of all stages. `start` runs when the Snakefile is read: it checks the settings
against the data (`checks`, `known`) and clears what a killed run left (`stale_locks`). For each
job `inputs` gives its input files, `params` what Snakemake records of it, `code` a digest of the
code that it runs, `threads` its threads, and `resources` its memory, time, disk and GPUs, by the
forecasts of `needs`, `size` and `arithmetic`. `engine` holds what is read of Snakemake's own
objects, `calls` how Snakemake calls these functions.

`doctor` and `forecast` say what will work and what a run takes, by the `plan` that Snakemake makes
of it; `overlays` reads the settings as a run does. `generated` writes the files that follow from
others; `remembered` keeps facts from one run to the next in `.snakemake`. No stage imports this
folder.
"""
