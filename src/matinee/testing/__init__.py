"""The model contract as a pytest class, and the logs it uses, for authors of models in other packages.

Requires pytest: `pip install "matinee[test]"`. See `docs/own_model.md`.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("matinee.testing.model_contract")  # before the import: failures then show values

from matinee.testing.model_contract import ModelContract  # noqa: E402

__all__ = ["ModelContract"]
