"""`python -m budget`."""

from budget.cli import main

if __name__ == "__main__":
    main()
