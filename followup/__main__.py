"""`python -m followup` is the command line."""

from followup.cli import main

main()
