"""Walks and groups: where a random walker goes, and the modules that describe it shortest."""

# Eager, unlike `taolu` itself: the function `infomap` must stand before the file of the same name.
from taolu.graph.compare import Comparison, compare
from taolu.graph.export import add_to_igraph, add_to_networkx, write_partition
from taolu.graph.flow import Flow, link_flow
from taolu.graph.infomap import Partition, infomap
from taolu.graph.links import Links, as_links
from taolu.graph.map_equation import Codelength, codelength
from taolu.graph.read import read_links

__all__ = [
    "Codelength",
    "Comparison",
    "Flow",
    "Links",
    "Partition",
    "add_to_igraph",
    "add_to_networkx",
    "as_links",
    "codelength",
    "compare",
    "infomap",
    "link_flow",
    "read_links",
    "write_partition",
]
