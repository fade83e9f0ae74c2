"""The report of a data set: figures, and one page that needs nothing else.

Entry: `report.write_report`. It reads the result files of the earlier stages and writes
`report.html` and `figures/`; it computes no score of its own. `figure_names.FIGURES` is what the
rule knows of the figures. `paper.write_paper` writes tables and figures for a paper from the same
object.

`results` loads everything into one object. A section is a module with a function `section`, from
that object to what its template in report/page/ shows, and functions for its figures: `summary`,
`caveats`, `scores`, `classes`, `shortcuts`, `comparison`, `training`, `tuning`, `images`,
`misclassified`, `looked`, `feature_map`, `files`, `origin`. `page` lists the sections; `drawing` has
the style of all figures.
"""
