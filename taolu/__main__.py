"""`python -m taolu` is the command line."""

from taolu.cli import main

if __name__ == "__main__":
    main()
