"""The one exception that a user can cause and cure."""


class UserError(Exception):
    """What happened, with which value, and what to do, in one or two lines.

    A process that ends with it prints its text without a traceback and exits with code 1. Anything
    else that escapes is a defect of the suite and shows its traceback.
    """
