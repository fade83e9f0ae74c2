"""From files to rows: what each file is, its label, and whether it can be used.

`manifest.index_files` is the stage; with shards it is in parts: `sharded.list_files`,
`sharded.index_shard`, `sharded.join_index`. `check.check_files` stops a run with too many
unusable files. `layout.recognise` finds label, given split and group by the names of files
(`listing`) or by a CSV (`tables`), and opens no image, so it is asked before a run too.
`examine` reads each file.

Reads `data/{dataset}/source.json` and the files that it points to. Writes
`results/{dataset}/manifest.parquet`, `index/*.parquet` and `unusable.csv`.
"""
