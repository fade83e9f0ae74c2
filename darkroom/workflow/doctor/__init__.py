"""`python -m darkroom doctor`: what will work here and what will not, before anything is run.

Each section is a module that looks at one thing, in its function `look`: `settings`, `packages`,
`graphics`, `computer`, `disks`, `sources`, `profiles`, `run`. It yields a sentence for everything
that it finds, and for a problem also what to do about it. `examine` runs them all and prints what
they find. Nothing is written but a trial file that is removed again, and no secret is printed.
"""
