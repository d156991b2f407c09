"""Name the mistake: why two files that should be the same network are not.

Mistakes are made on the right network until it is the wrong one. `hypotheses` are the mistakes, each a function of a
cell; weights that agree number by number tell which were made (`kernels`, `units`, `bias`), `cells` composes them and
confirms that by what both compute, `layers` and `models` pair directions and layers.
"""
