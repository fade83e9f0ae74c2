"""From a source string to files on this disk.

A source is a folder, an archive, web addresses, a Kaggle data set, or the bundled digits.
`addresses` parses source strings and `folders` walks a folder; `download.download_source` is the
stage. It downloads files (`http`, `kaggle`), unpacks archives (`unpack`, with `formats` and
`names`), and writes the images of array files (`published`, `idx`, `cifar`, `arrays`) as PNG class
folders. `download.local_input`, `tree_digest` and `listing` are called while the Snakefile is read.

Reads the source. Writes `data/{dataset}/source.json`, and beside it the downloaded and unpacked
files.
"""
