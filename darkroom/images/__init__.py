"""From rows to pixels: every usable image decoded once per view, and stored variants.

`prepare.prepare_images` is the stage; with shards, `prepare.prepare_shard` and
`prepare.join_images`. `variants.augment_images` makes the stored variants. `resize.render`
decodes and resizes all images, new pictures included. `store` and `features_file` read and write
the HDF5 files of images and of features. `joined` reads an array across several files.

Reads `source.json` and its files, `manifest.parquet`. Writes `images/{view}.h5`,
`images/{view}.shards/*.h5` and `augmented/{view}.h5`.
"""
