"""`python -m lstm_convert` is the command `lstm-convert`."""

from lstm_convert.cli import main

main()
