"""The one kind of error that is the user's to mend."""


class UserError(Exception):
    """A mistake that a person can mend: one sentence of what, where and what to do.

    A stage that raises it ends with that sentence alone; any other exception is a
    defect of Darkroom and keeps its traceback.
    """
