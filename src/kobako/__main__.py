"""`python -m kobako`, the same as `kobako`."""

from kobako.cli import main

if __name__ == "__main__":
    main()
