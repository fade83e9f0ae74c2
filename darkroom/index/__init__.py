"""From files to rows: the format, the label and the usability of each file.

`manifest.index_files` is the stage. With shards the stages are `sharded.list_files`,
`sharded.index_shard` and `sharded.join_index`. `check.check_files` stops a run with too many
unusable files. `layout.recognise` reads label, given split and group from file names
(`listing`, `class_folders`) or from a CSV (`tables`, with `csv_file`, `columns` and `finder`). It
opens no image, so it also runs before a workflow starts. `examine` reads each file.

Reads `data/{dataset}/source.json` and the files that it points to. Writes
`results/{dataset}/manifest.parquet`, `index/*.parquet` and `unusable.csv`.
"""
