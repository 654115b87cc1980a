"""`python -m executor` is the `executor` command; the supervisor starts its daemon so."""

from executor.cli.main import main

if __name__ == "__main__":
    main()
