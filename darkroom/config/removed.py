"""Settings of earlier versions, and what to write in their place. `*` is any name."""

REMOVED = {
    "evaluate": "this section was removed; leave it out: intervals are computed, no longer drawn",
    "report.mistakes": "this setting has another name now: write report.misclassified",
    "classifiers.*.accelerate": "this setting was removed; leave it out: scikit-learn alone fits",
    "classifiers.*.search": "this setting was removed; write tune: {space: {settings.C: [1, 10, 100]}}, which compares settings by the validation rows",
}
