"""Everything that `config.yaml` and its overlays may say, checked before anything runs.

`settings.Settings.load` checks a configuration; its methods name what each data set consists of.
`stages.stage_settings` gives what a rule records: exactly the settings that its stage reads.
The settings by subject: `dataset`, `model`, `classifier`, `tuning`, in the forms that `forms` has.
`compare` makes several models of one that compares, `messages` puts what is refused into words,
`removed` has what to write in place of settings of earlier versions, `schema` is for editors.

Reads and writes no files. No stage imports this folder: a new setting would rerun everything.
"""
