"""Kernels of the linear zoo: Gram matrices, solvers, similarities. numba and SciPy only, never torch."""
