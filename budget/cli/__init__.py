"""The command line: one module per command, each body loads, calls the API once, reports."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Runs the command line and turns every `BudgetError` into a message and an exit status."""
    # what is imported and read is kept: looking for garbage in it would only cost time
    gc.set_threshold(50_000, 20, 20)
    from budget.cli.app import application
    from budget.errors import BudgetError

    if sys.stderr.isatty():
        from budget.report.waiting import begin_waiting

        begin_waiting()
    try:
        application(sys.argv[1:])()
    except BudgetError as error:
        from budget.report.errors import print_error

        print_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # the reader of our output has gone (`budget … | head`): nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    finally:
        waiting = sys.modules.get("budget.report.waiting")
        if waiting is not None:
            waiting.end_waiting()
        gc.freeze()  # the interpreter looks for garbage once more as it ends
