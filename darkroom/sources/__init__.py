"""From a source string to files on this disk.

A source is a folder, an archive, web addresses, a Kaggle data set, or the bundled digits.
`addresses` parses source strings; `local` looks at a source on this disk while the Snakefile is
read; `download.download_source` is the stage. It searches the `mirror`, downloads files (`kaggle`;
`transfer`, over the connections of `http`), unpacks archives (`unpack`, with `formats` and `names`),
and writes the images of array files (`published`, `idx`, `cifar`, `arrays`) or of the `bundled`
digits as PNG class folders. `folders` walks a folder.

Reads the source. Writes `data/{dataset}/source.json`, and beside it the downloaded and unpacked
files.
"""
