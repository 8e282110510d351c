"""``python -m trioecho``: the same as the ``trioecho`` command."""

from trioecho.cli import main

if __name__ == "__main__":
    main()
