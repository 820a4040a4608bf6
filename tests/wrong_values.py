"""Some forty kinds of value that no argument, or few of them, can take."""

import types
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import jax
import networkx as nx
import numpy as np
import pandas as pd
import scipy.sparse
from bad_calls import NETWORK, cost


class Unreadable:
    """As a tensor that needs a gradient: there is an array, but it is not given out."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise RuntimeError("can't call numpy() on a tensor that requires grad")


class Nameless:
    """What cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "-1": lambda: -1,
    "0": lambda: 0,
    "half": lambda: 0.5,
    "10^30": lambda: 10**30,
    "5,001 digits": lambda: 10**5000,
    "NaN": lambda: np.nan,
    "infinity": lambda: np.inf,
    "complex": lambda: 1j,
    "text": lambda: "text",
    "empty text": lambda: "",
    "bytes": lambda: b"bytes",
    "zero byte": lambda: "a\0b",
    "empty list": list,
    "mixed list": lambda: [1.0, "a", None],
    "ragged list": lambda: [[1.0], [1.0, 2.0]],
    "dict": lambda: {"a": 1},
    "empty dict": dict,
    "set": lambda: {1, 2},
    "object": object,
    "no repr": Nameless,
    "class": lambda: Nameless,
    "function": lambda: abs,
    "module": lambda: types,
    "generator": lambda: (i for i in range(3)),
    "decimal": lambda: Decimal("-1.5"),
    "path": lambda: Path("/nowhere/at/all"),
    "empty array": lambda: np.array([]),
    "four axes": lambda: np.ones((2, 3, 4, 5)),
    "shape (6,)": lambda: np.ones(6),
    "array with NaN": lambda: np.array([1.0, np.nan]),
    "complex array": lambda: np.array([1j, 2.0]),
    "texts": lambda: np.array(["a", "b"]),
    "dates": lambda: np.array(["2020-01-01"], "datetime64[D]"),
    "objects": lambda: np.array([1.0, None], object),
    "truth values": lambda: np.array([True, False]),
    "masked": lambda: np.ma.masked_equal([1.0, 9.0], 9.0),
    "masked number": lambda: np.ma.masked,
    "records": lambda: np.zeros(2, "i4, f8"),
    "sparse": lambda: scipy.sparse.eye_array(4),
    "table of texts": lambda: pd.DataFrame({"a": ["x", "y"]}),
    "random key": lambda: jax.random.key(0),
    "tensor": Unreadable,
    "graph": lambda: nx.path_graph(3),
    "network": lambda: NETWORK,
    "cost": lambda: cost(),
}
