"""`python -m registry` is the command `registry`."""

from .cli import main

if __name__ == "__main__":
    main()
