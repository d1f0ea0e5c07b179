"""`python -m seqsci`."""

from seqsci.cli import main

if __name__ == "__main__":
    main()
