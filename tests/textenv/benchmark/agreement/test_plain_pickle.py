import collections
import contextlib
import io
import os
import pickle

import numpy as np
import pytest

from textenv.benchmark.agreement.plain_pickle import load_plain_pickle
from textenv.errors import ConfigError


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def write(tmp_path, data, protocol=None):
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(data, protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_numbers_of_numpy_are_read(tmp_path, protocol):
    data = {
        "a": [1, 2.5, "é", None, True, (1, 2)],
        "b": {"x": np.float64(0.1), "y": np.float32(0.5), "z": np.int64(-3)},
        "c": collections.OrderedDict(one=np.bool_(True)),
    }
    found = load_plain_pickle(write(tmp_path, data, protocol))
    assert found == data
    assert type(found["b"]["x"]) is float
    assert type(found["c"]) is dict


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {path}"),
        (eval, "open('{path}', 'w')"),
        (exec, "open('{path}', 'w')"),
        (open, "{path}", "w"),
        (getattr, "text", "upper"),
        (np.load, "{path}"),
    ],
)
def test_nothing_is_called(tmp_path, call):
    function, *arguments = call
    trap = tmp_path / "called"
    arguments = [argument.format(path=trap) for argument in arguments]
    with pytest.raises(ConfigError, match=r"since a pickle can run code: it names \S+\."):
        load_plain_pickle(write(tmp_path, {"doc": [Calls(function, *arguments)]}))
    assert not trap.exists()


def test_a_class_of_ones_own_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="it names collections"):
        load_plain_pickle(write(tmp_path, collections.Counter("abc")))


@pytest.mark.parametrize("array", [np.zeros(3), np.array("text"), np.datetime64("2020-01-01")])
def test_arrays_and_other_types_of_numpy_are_refused(tmp_path, array):
    with pytest.raises(ConfigError):
        load_plain_pickle(write(tmp_path, array))


def test_data_outside_of_the_file_is_refused(tmp_path):
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return "elsewhere" if obj == "x" else None

    buffer = io.BytesIO()
    Pickler(buffer).dump(["x"])
    path = tmp_path / "data.pkl"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ConfigError, match="outside of the file"):
        load_plain_pickle(path)


@pytest.mark.parametrize("size", [0, 1, 7, 20, 31])
def test_a_damaged_pickle_is_an_error_in_words(tmp_path, size):
    path = write(tmp_path, {"documents": [1, 2, 3], "text": "abc"})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ConfigError, match=r"data\.pkl"):
        load_plain_pickle(path)


@pytest.mark.parametrize("seed", range(30))
def test_flipped_bytes_never_crash(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = write(tmp_path, {"documents": [1.5, np.float64(2)], "text": "abc" * 20})
    data = bytearray(path.read_bytes())
    for place in rng.integers(len(data), size=4):
        data[place] = rng.integers(256)
    path.write_bytes(bytes(data))
    # Whatever is left of it is read, or refused in words.
    with contextlib.suppress(ConfigError):
        load_plain_pickle(path)
