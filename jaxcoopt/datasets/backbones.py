"""Real networks that carry the internet."""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable

import networkx as nx

from jaxcoopt.errors import require, shown, unknown_name


def backbone_names() -> tuple[str, ...]:
    """Every name that `backbone` knows, sorted: groups sndlib/, topozoo/, caida/, backbone/ and (synthetic) gabriel/.

    Raises:
        ImportError: topohub is not installed.
    """
    return tuple(sorted(_names(_folder())))


def backbone(name: str) -> nx.Graph:
    """A backbone such as "sndlib/germany50" as a connected graph over the nodes 0..n-1.

    Nodes keep `pos` (longitude, latitude in degrees; gabriel/: a point in an abstract plane) and, where the source
    gives it, `name`; `label` is the source's own id. Edges keep `dist` (km). `graph.graph["demands"]` is
    {node: {node: size}}, empty outside sndlib/.

    Raises:
        ValueError: an unknown name; the message gives the nearest ones.
        ImportError: topohub is not installed.

    Source: S. Orlowski et al., "SNDlib 1.0", Networks 55, 2010; S. Knight et al., "The Internet Topology Zoo", IEEE
    JSAC 29, 2011; CAIDA's Macroscopic Internet Topology Data Kit; collected by P. Jurkiewicz, TopoHub (topohub.org).
    """
    names = backbone_names()
    if not isinstance(name, str) or name not in names:
        if isinstance(name, str) and get_close_matches(name, names):
            raise unknown_name("name", name, names)
        raise ValueError(
            f"name: {shown(name)} is not known; give one of the {len(names)} names that backbone_names() lists, "
            "such as 'sndlib/germany50' or 'topozoo/Abilene'"
        )
    content = json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8"))  # topohub.get leaves the file open
    graph = nx.node_link_graph(content, edges="edges")
    demands = graph.graph.get("demands", {})
    graph.graph["demands"] = {int(i): {int(j): size for j, size in row.items()} for i, row in demands.items()}
    return nx.convert_node_labels_to_integers(graph, label_attribute="label")


def _folder() -> Traversable:
    """Where topohub keeps its files."""
    return files(require("topohub", extra="data")) / "data"


def _names(folder: Traversable, prefix: str = "") -> Iterator[str]:
    """The names of all JSON files below a folder, without their ending."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _names(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".json"):
            yield prefix + entry.name.removesuffix(".json")
