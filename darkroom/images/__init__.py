"""From rows to pixels: every usable image decoded once a view, and the variants of images.

`prepare.prepare_images` is the stage, in parts `prepare.prepare_shard` and
`prepare.join_images`; `variants.augment_images` makes the stored variants. `resize.render` is
the one way from the bytes of a file to pixels, for new pictures too. `store` knows the HDF5
files of images and of features: all later stages open them there. `joined` reads an array that
lies in several files.

Reads `source.json` and its files, `manifest.parquet`. Writes `images/{view}.h5`,
`images/{view}.shards/*.h5` and `augmented/{view}.h5`.
"""
