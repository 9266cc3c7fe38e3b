"""Errors keep what they say, and their kind, on the way from a task to the driver."""

import pickle

import pytest

from fusionspark.errors import ConfigError, DataContractError, MissingExtraError, ModelMismatchError


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("key", "is wrong", allowed="a, b", remedy="mend it"),
        DataContractError("rows", "there are none"),
        ModelMismatchError("model", "is another"),
        MissingExtraError("model2vec", "static", "precision static"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.exit_code == error.exit_code
