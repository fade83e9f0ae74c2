"""From the bytes of an image file to pixels, by one stated policy.

`file.probe` says what a file is and whether it can be used; `file.decode` gives its pixels.
`header` knows the formats, `policy` what is done with unusual images, `pixels` the decoders,
and `quiet` catches what C libraries print. Reads and writes no file.
"""
