"""From a source string to files on this disk.

A source is a folder, an archive, addresses of the web, a data set of Kaggle, or the bundled
digits. `addresses` knows the forms that a source may have; `local` looks at a source that is
on this disk, while the Snakefile is read; `download.download_source` is the stage. It brings
files here by `http` or `kaggle`, unpacks archives (`unpack`), and writes the images of array
files (`published`, `idx`, `cifar`, `arrays`) as PNG class folders. `folders` walks a folder.

Reads what the source names. Writes `data/{dataset}/source.json`, and beside it what it
downloads and unpacks.
"""
