"""Simulated logs with planted structure."""
