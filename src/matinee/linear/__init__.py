"""Kernels of the linear models: Gram matrices, solvers, similarities; numba and SciPy, never torch."""
