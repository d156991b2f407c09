"""What a network computes, in float64 with NumPy alone, and the proof that a file still computes it."""
