"""python -m episteme."""

from episteme.cli import main

main()
