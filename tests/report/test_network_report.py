"""The page of a network: its tree, its picture, what stands in the file, what a browser shows."""

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from taolu.graph import infomap
from taolu.report import network
from taolu.report.network import write_network
from taolu.report.network_layout import place_items
from taolu.report.network_tree import tree_of

NASTY = "</script><script>document.title='hit'</script><b>x&lt;</b>"


def cliques(count, size, names=None):
    """Cliques in a ring: many of them have modules of modules."""
    inside = np.stack(np.triu_indices(size, 1))
    sources, targets = (np.concatenate([row + k * size for k in range(count)]) for row in inside)
    between = np.arange(count) * size
    links = np.append(sources, between), np.append(targets, np.roll(between, -1) + 1)
    found = infomap(links)
    return replace(found, flow=replace(found.flow, names=names)) if names else found


@pytest.fixture(scope="module")
def found():
    """Thirty cliques of five, three levels; one name wants to be markup."""
    return cliques(30, 5, (NASTY, *(f"n{k}" for k in range(1, 150))))


@pytest.fixture
def page(found, tmp_path):
    path = tmp_path / "page.html"
    write_network(path, found, title=NASTY, options={NASTY: 1})
    return path


def page_data(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))


# Tree


def test_the_tree_holds_every_module_and_node_with_its_flow(found):
    tree = tree_of(found)
    assert (tree.modules, int((tree.sizes == 0).sum())) == (36, 150)
    leaves = found.leaves
    for item in range(1, 37):
        path = [int(part) - 1 for part in tree.paths[item].split(":")]
        inside = (found.paths[:, : len(path)] == path).all(axis=1)
        assert tree.flow[item] == pytest.approx(found.rates[inside].sum())
        assert tree.sizes[item] == inside.sum()
        # Nothing teleports: what leaves is half of what passes the border, both ways together.
        flow = found.flow
        heads = np.repeat(np.arange(150), np.diff(flow.starts))
        border = flow.between[inside[heads] & ~inside[flow.neighbours]].sum() / 2
        assert tree.leave[item] == pytest.approx(border)
        best = np.flatnonzero(inside)[np.argmax(found.rates[inside])]
        assert tree.names[item].startswith(found.names[best][:39])
    for item in range(37, 187):
        same = leaves == leaves[tree.nodes[item]]
        assert tree.sizes[tree.parents[item]] == same.sum()


def test_a_large_tree_keeps_what_is_visited_most(found):
    tree = tree_of(found, most_modules=20, most_nodes=30)
    assert tree.modules == 20
    assert (tree.parents[1:] < np.arange(1, tree.parents.size)).all()
    whole = tree_of(found)
    assert tree.flow[1:21].min() >= np.sort(whole.flow[1:37])[-20] - 1e-12
    shown = tree.sizes == 0
    assert 0 < shown.sum() <= 30
    # Nodes stand in their own module or not at all.
    assert (tree.levels[tree.parents[shown]] == 2).all()


# Picture


def test_discs_lie_in_their_modules_and_beside_each_other(found):
    tree = tree_of(found)
    layout = place_items(tree, found.flow)
    spots = np.stack([layout.x, layout.y], axis=1)
    for item in range(1, tree.parents.size):
        parent = tree.parents[item]
        reach = np.linalg.norm(spots[item] - spots[parent]) + layout.radii[item]
        assert reach <= layout.radii[parent] * 1.001
    for a in range(1, 37):
        for b in range(1, a):
            if tree.parents[a] == tree.parents[b]:
                apart = np.linalg.norm(spots[a] - spots[b])
                assert apart > 0.9 * (layout.radii[a] + layout.radii[b])
    again = place_items(tree, found.flow)
    np.testing.assert_array_equal(spots, np.stack([again.x, again.y], axis=1))


def test_the_ring_of_cliques_is_drawn_as_a_ring(found):
    tree = tree_of(found, most_nodes=0)
    layout = place_items(tree, found.flow)
    linked = layout.links[:, (tree.levels[layout.links] == 1).all(axis=0)]
    tops = np.flatnonzero(tree.levels == 1)
    spots = np.stack([layout.x, layout.y], axis=1)
    near = np.linalg.norm(spots[linked[0]] - spots[linked[1]], axis=1).mean()
    every = [np.linalg.norm(spots[a] - spots[b]) for a in tops for b in tops if a < b]
    assert near < np.mean(every)


# Page


def test_the_page_is_one_file_that_holds_names_as_text_only(page, found):
    text = page.read_text(encoding="utf-8")
    assert NASTY not in text
    assert "<script>document" not in text
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
    assert "default-src 'none'" in text
    data = page_data(page)
    assert data["title"] == NASTY
    assert data["tally"] | {"trials": 0} == {
        "nodes": 150, "links": 330, "levels": 3, "tops": 6, "modules": 36, "trials": 0,
        "shown_modules": 36, "shown_nodes": 150,
    }  # fmt: skip
    assert data["complete"]
    assert len(data["links"]) == 3 * 330
    assert data["bands"] == []
    assert sum(data["bits"]["depths"]) == pytest.approx(found.codelength)
    assert len(data["items"]["parent"]) == 187


def test_a_page_of_a_large_network_shows_sums_between_modules(found, tmp_path, monkeypatch):
    monkeypatch.setattr(network, "tree_of", partial(tree_of, most_modules=20, most_nodes=30))
    path = tmp_path / "page.html"
    write_network(path, found, links=7)
    data = page_data(path)
    assert not data["complete"]
    assert data["tally"]["links"] == 7
    assert (data["tally"]["shown_nodes"], data["tally"]["nodes"]) == (30, 150)
    parents = np.array(data["items"]["parent"])
    for kind in ("links", "bands"):
        ends = np.array(data[kind]).reshape(-1, 3)[:, :2]
        assert ends.size
        np.testing.assert_array_equal(*parents[ends].T)


@pytest.mark.slow
def test_the_page_of_a_large_network_is_small(tmp_path):
    path = tmp_path / "page.html"
    write_network(path, cliques(4000, 5))
    assert path.stat().st_size < 1_000_000


def test_a_network_without_modules_has_a_page(tmp_path):
    path = tmp_path / "page.html"
    write_network(path, infomap(([0, 1, 2], [1, 2, 0])))
    assert page_data(path)["tally"]["modules"] == 1


@pytest.mark.browser
def test_one_steps_into_modules_by_mouse_and_by_keyboard(ask, page):
    answer = ask(
        page,
        """
        const wait = (time) => new Promise((done) => setTimeout(done, time));
        const crumbs = () => text("#crumbs button").map((name) => name.split(/\\s/)[0]);
        const out = { title: document.title, start: crumbs(), rows: table("module-table").length };
        const press = (key) => document.activeElement.dispatchEvent(
          new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
        all("#rings path.module")[0].dispatchEvent(new MouseEvent("click", { bubbles: true }));
        await wait(700);
        out.clicked = crumbs();
        out.place = location.hash;
        document.querySelector('#rings path[tabindex="0"]').focus();
        press("ArrowRight");
        out.beside = document.activeElement.getAttribute("aria-label");
        press("Enter");
        await wait(700);
        out.entered = crumbs();
        all("#rings path.node")[0].focus();
        press("Escape");
        await wait(700);
        out.back = crumbs();
        const box = document.querySelector("#search");
        box.value = "n149";
        box.dispatchEvent(new Event("input"));
        out.found = table("module-table").map((row) => row[1]);
        out.saved = text("#headline b")[2];
        out.aside = document.documentElement.scrollWidth - innerWidth;
        return out;
        """,
        width=500,
    )
    assert answer["title"] == "taolu 网络的模块"
    assert answer["rows"] == 20
    assert answer["start"] == ["全部"]
    assert answer["clicked"] == ["全部", "1"]
    assert answer["place"] == "#1"
    assert "模块 1:2" in answer["beside"]
    assert answer["entered"] == ["全部", "1", "1:2"]
    assert answer["back"] == ["全部", "1"]
    assert len(answer["found"]) == 1
    assert answer["saved"] == "57.2%"
    assert answer["aside"] <= 0
