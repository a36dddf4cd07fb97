"""Walks and groups: where a random walker goes, and the modules that describe it shortest."""

from taolu.graph.flow import Flow, link_flow
from taolu.graph.links import Links, as_links
from taolu.graph.map_equation import Codelength, codelength

__all__ = ["Codelength", "Flow", "Links", "as_links", "codelength", "link_flow"]
