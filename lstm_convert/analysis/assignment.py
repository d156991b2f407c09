"""The assignment problem: each row its own column, so that the scores add up to the most (shortest augmenting paths).

Source: the algorithm of Jonker and Volgenant, Computing 38 (1987), as scipy.optimize.linear_sum_assignment has it.
"""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Indices = NDArray[np.intp]


def assigned(scores: Float64) -> Indices:
    """Return for each row its column.

    Args:
        scores: (size, size), finite.
    """
    cost = -scores
    size = len(cost)
    by_row, by_column = np.zeros(size), np.zeros(size)  # the dual prices
    row_of, column_of = np.full(size, -1), np.full(size, -1)
    for start in range(size):
        shortest, previous = np.full(size, np.inf), np.full(size, -1)
        done = np.zeros(size, bool)
        rows = [start]
        row, length = start, 0.0
        while True:
            through = length + cost[row] - by_row[row] - by_column
            better = ~done & (through < shortest)
            shortest[better], previous[better] = through[better], row
            column = int(np.where(done, np.inf, shortest).argmin())
            length = float(shortest[column])
            done[column] = True
            if row_of[column] < 0:
                break
            row = int(row_of[column])
            rows.append(row)
        by_row[start] += length
        others = np.array(rows[1:], np.intp)
        by_row[others] += length - shortest[column_of[others]]
        by_column[done] -= length - shortest[done]
        while True:  # along the path every row takes the column that was found from it
            row = int(previous[column])
            row_of[column] = row
            column_of[row], column = column, int(column_of[row])
            if row == start:
                break
    return column_of
