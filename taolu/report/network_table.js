// All modules that are shown, the most visited first, found by number or by the name of a node.

const PAGE_ROWS = 20;
const modules = [...Array(count).keys()].slice(1).filter(isModule).sort((a, b) => items.flow[b] - items.flow[a]);
const folded = items.name.map((name) => name.toLowerCase());
let chosen = modules;
let page = 1;

// A module is found by its number, or where a node in it is: by the lowest module of that node.
function search(asked) {
  const wish = asked.trim().toLowerCase();
  if (!wish) return modules;
  const hit = new Set();
  for (let item = 1; item < count; item += 1) {
    if (isModule(item) && (folded[item].includes(wish) || items.path[item] === wish || items.path[item].startsWith(`${wish}:`))) hit.add(item);
    else if (!isModule(item) && folded[item].includes(wish)) hit.add(items.parent[item]);
  }
  return modules.filter((item) => hit.has(item));
}

function rowOf(item) {
  const button = make("button", "", items.path[item]);
  button.type = "button";
  button.addEventListener("click", () => {
    go(item);
    byId("hierarchy").scrollIntoView({ behavior: still.matches ? "auto" : "smooth" });
  });
  const swatch = make("i", "swatch");
  swatch.style.background = shade(item);
  const name = make("td", "", items.name[item]);
  name.title = items.name[item];
  const number = (text) => make("td", "number", text);
  return make("tr", item === focus ? "here" : "", make("td", "", swatch, button), name, number(whole(items.size[item])),
    number(percent(items.flow[item])), number(percent(items.leave[item] ?? 0)), number(steps(item)));
}

function showTable() {
  const pages = Math.max(1, Math.ceil(chosen.length / PAGE_ROWS));
  page = Math.min(page, pages);
  const from = (page - 1) * PAGE_ROWS;
  const rows = chosen.slice(from, from + PAGE_ROWS);
  byId("module-table").tBodies[0].replaceChildren(...rows.map(rowOf));
  byId("module-table").hidden = !rows.length;
  byId("no-modules").hidden = rows.length > 0;
  byId("range").textContent = rows.length ? `第 ${whole(from + 1)}–${whole(from + rows.length)} 个，共 ${whole(chosen.length)} 个` : "";
  byId("page").textContent = `${page} / ${pages}`;
  byId("previous").disabled = page === 1;
  byId("next").disabled = page === pages;
  document.querySelector(".pages").hidden = pages === 1;
}
followers.push(showTable);

byId("search").addEventListener("input", (event) => {
  chosen = search(event.target.value);
  page = 1;
  showTable();
});
byId("previous").addEventListener("click", () => { page -= 1; showTable(); });
byId("next").addEventListener("click", () => { page += 1; showTable(); });

dark.addEventListener("change", () => {
  showBars();
  drawRings(true);
  drawMapSoon();
  showTable();
});
window.addEventListener("hashchange", () => { if (wanted() !== focus) go(wanted(), true); });

showHeader();
showBars();
showNote();
focus = wanted();
view = viewOf(focus);
camera = cameraOf(focus);
drawRings(true);
setActive(children[focus][0]);
showCrumbs();
drawMap();
showTable();
