"""What the Snakefile calls, and the commands about a run as a whole.

Before anything runs: `preflight` checks the settings against the data, `stale_locks` clears what
a killed run left. For each job: `demand` gives memory, time and disk, `threads` its threads,
`code` a digest of the code that it runs. `doctor` and `forecast` tell what will work and what a
run takes, `generated` writes the files that follow from others. `remembered` keeps facts from one
run to the next in `.snakemake`. No stage imports this folder.
"""
