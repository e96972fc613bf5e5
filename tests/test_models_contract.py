"""The contract of `matinee.testing` for every file of `models/`, without registration."""

from __future__ import annotations

import pytest

from matinee import models
from matinee.testing import ModelContract
from tests.toys import toy


class TestModels(ModelContract):
    @pytest.fixture(params=models.kinds())
    def model_spec(self, request):
        return toy(request.param)


def test_there_are_models():
    assert {"ease", "item_knn", "popularity"} <= set(models.kinds())


@pytest.mark.parametrize("kind", models.kinds())
def test_the_kind_is_the_file_name(kind):
    assert models.get(kind)().kind == kind
