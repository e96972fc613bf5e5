"""Analysis of an ensemble: members, overlap of their lists, users they are best for, robustness of the gain."""
