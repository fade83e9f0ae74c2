"""From the bytes of an image file to pixels, by one stated policy.

`file.probe` finds a file's format and whether it can be used; `file.decode` returns its pixels.
`header` knows the formats, `policy` the treatment of unusual images, `pixels` the decoders,
`damage` what these pass over, `reasons` the words for what cannot be read, and `quiet` captures
the output of C libraries. This package reads and writes no file.
"""
