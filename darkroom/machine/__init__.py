"""What a job knows of the machine that it runs on.

`stage` is around every script: its log, its GPUs, errors in one sentence. `disk` writes files
whole or not at all, and puts what a disk refuses into words. `workers` runs blocks of work in
processes, `progress` shows how far it is. `gpus` locks the GPUs of a job, which is one object that
it passes on; `drivers` finds out why a GPU does not work. `hardware` reads cores, memory and
versions; `commands`, `installed` and `process` are small helpers. Nothing here knows of images,
settings or Snakemake's rules.
"""
