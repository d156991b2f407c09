"""What can be read from an LSTM: its gates, its traces, and how much each lag matters, in tables.

Three grades of answer, never mixed; every table has a column `basis` that says which:

    proven    holds for every input of a stated box, by the weights alone
    at_rest   exact for the network linearised where it comes to rest, or for its biases alone
    measured  of the sequences that were handed in
"""
