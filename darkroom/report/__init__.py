"""The report of a data set: figures, and one page that needs nothing else.

Entry: `report.write_report`. It reads the result files of the earlier stages and writes
`report.html` and `figures/`; it computes no score of its own. `figure_names.FIGURES` is what the
rule knows of the figures.
"""
