// The map of the vectors: every word is a dot in the colour of its community, and as many dots as
// there is room for are words. Nearer by, there is room for more.

const atlas = data.vectors?.map ?? null;
const LABEL_GAP = 3; // pixels between two words
const NEAREST_VIEW = 0.02;
const EDGE = 0.045; // of the map, free around it
const ruler = document.createElement("canvas").getContext("2d");

const mapPlace = new Map((atlas?.row ?? []).map((row, at) => [row, at]));
const mapColumn = (key) => atlas[key].map((value) => value / 1000);
const mapUses = (at) => (vectors.uses ? vectors.uses[atlas.row[at]] : 1);
const mapWord = (at) => vectors.words[atlas.row[at]];
const companions = new Map(); // the most used words of each group, in the order of use

function hueOf(module) {
  return ((module * 137.508 + 165) % 360).toFixed(0); // as the bubbles of the groups
}

// Dots recede, words are strong.
function mapColour(at, strong) {
  const module = atlas.module[at];
  if (module < 0) return colour(strong ? "--ink" : "--idle");
  const [full, light] = dark.matches ? (strong ? [60, 74] : [30, 46]) : (strong ? [65, 31] : [45, 72]);
  return `hsl(${hueOf(module)}, ${full}%, ${light}%)`;
}

function labelSizes() {
  const logs = atlas.row.map((_, at) => Math.log(Math.max(1, mapUses(at))));
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const [least, most] = small.matches ? [11, 19] : [12, 27];
  return logs.map((log) => least + (most - least) * (high > low ? (log - low) / (high - low) : 0.5));
}

const mapTall = () => (small.matches ? 430 : 660);

// Drawn whole each time: after another zoom, width, palette or word, other words have room.
function drawMap() {
  byId("map-box").hidden = !atlas;
  if (!atlas) return;
  const ranges = viewOfMap();
  Plotly.react("map-chart", mapTraces(ranges), mapLayout(ranges), {
    responsive: true,
    displaylogo: false,
    doubleClick: false,
    modeBarButtons: [["zoom2d", "pan2d", "toImage"]],
    displayModeBar: small.matches ? false : "hover",
  });
}

function viewOfMap() {
  const { xaxis, yaxis } = byId("map-chart").layout ?? {};
  return xaxis ? [[...xaxis.range], [...yaxis.range]] : [[-EDGE, 1 + EDGE], [-EDGE, 1 + EDGE]];
}

function mapTraces(ranges) {
  const [x, y] = [mapColumn("x"), mapColumn("y")];
  const marked = markedOnMap();
  const sizes = labelSizes();
  const kept = labelled(ranges, sizes, marked);
  const written = new Set(kept);
  const near = new Set(marked);
  const dot = small.matches ? 4 : 5;
  const pick = (places, from) => places.map((at) => from[at]);
  const dots = {
    type: "scatter", mode: "markers", x, y,
    marker: {
      size: x.map((_, at) => (written.has(at) ? 0 : near.has(at) ? dot + 2 : dot)),
      color: x.map((_, at) => mapColour(at, near.has(at))),
      line: { width: 0 },
    },
    customdata: x.map((_, at) => [plain(mapWord(at)), mapUses(at), plain(companionsOf(at))]),
    hovertemplate: `<b>%{customdata[0]}</b>${vectors.uses ? "<br>%{customdata[1]:,} 次" : ""}`
      + "<br>%{customdata[2]}<extra></extra>",
  };
  const label = (at) => (near.has(at) ? `<b><u>${plain(mapWord(at))}</u></b>` : plain(mapWord(at)));
  const words = {
    type: "scatter", mode: "text", hoverinfo: "skip", x: pick(kept, x), y: pick(kept, y), text: kept.map(label),
    textfont: { size: pick(kept, sizes), color: kept.map((at) => mapColour(at, true)) },
  };
  return [dots, words];
}

function companionsOf(at) {
  const words = (companions.get(atlas.group[at]) ?? []).filter((word) => word !== mapWord(at));
  return words.length ? `同群：${words.slice(0, 6).join(" ")}` : "";
}

function mapLayout([across, up]) {
  const bare = { visible: false, fixedrange: false };
  const kept = byId("map-chart").layout?.dragmode || null; // what the bar of tools was set to
  return layout({
    height: mapTall(),
    margin: { l: 0, r: 0, t: 0, b: 0 },
    showlegend: false,
    hovermode: "closest",
    // A finger on a small screen scrolls the page; there are buttons to look closer.
    dragmode: matchMedia("(pointer: coarse)").matches || small.matches ? false : kept ?? "pan",
    xaxis: { ...bare, range: [...across] },
    yaxis: { ...bare, range: [...up] },
  });
}

// The word asked for and its neighbours first, then the most used, each where it hides no other.
function labelled([[left, right], [low, high]], sizes, marked) {
  const [width, height] = [byId("map-chart").clientWidth, mapTall()];
  const family = getComputedStyle(document.body).fontFamily;
  const order = [...marked, ...atlas.row.map((_, at) => at).filter((at) => !marked.includes(at))];
  // Boxes by middle and half size: the corners of the buttons, and of the tools, stay free.
  const taken = [[width - 27, height - 68, 27, 68], [width - 50, 13, small.matches ? 0 : 50, 13]];
  return order.filter((at) => {
    const x = ((atlas.x[at] / 1000 - left) * width) / (right - left);
    const y = ((high - atlas.y[at] / 1000) * height) / (high - low);
    if (x < 0 || y < 0 || x > width || y > height) return false;
    ruler.font = `${sizes[at]}px ${family}`;
    const half = ruler.measureText(mapWord(at)).width / 2 + LABEL_GAP;
    const rise = sizes[at] * 0.62 + LABEL_GAP / 2;
    // A word that the frame would cut stays a dot.
    if (x < half || y < rise || x > width - half || y > height - rise) return false;
    const free = taken.every(([u, v, w, h]) => Math.abs(x - u) >= half + w || Math.abs(y - v) >= rise + h);
    if (free) taken.push([x, y, half, rise]);
    return free;
  });
}

function markedOnMap() {
  if (asked === null) return [];
  const rows = [asked, ...neighboursOf(asked).map(({ row }) => row)];
  return rows.map((row) => mapPlace.get(row)).filter((at) => at !== undefined);
}

// Called where another word is asked for; before Plotly is there it has nothing to do.
function markOnMap() {
  if (typeof Plotly !== "undefined") drawMap();
}

// Towards the word asked for, if it is in view, else towards the middle.
function zoomMap(factor) {
  const ranges = viewOfMap();
  const at = mapPlace.get(asked);
  const point = at === undefined ? null : [atlas.x[at] / 1000, atlas.y[at] / 1000];
  const seen = point?.every((value, side) => value >= ranges[side][0] && value <= ranges[side][1]);
  const next = ranges.map(([low, high], side) => {
    const size = Math.min(1 + 2 * EDGE, Math.max(NEAREST_VIEW, (high - low) * factor));
    const middle = seen && factor < 1 ? point[side] : (low + high) / 2;
    const start = Math.min(Math.max(-EDGE, middle - size / 2), 1 + EDGE - size);
    return [start, start + size];
  });
  Plotly.relayout("map-chart", { "xaxis.range": next[0], "yaxis.range": next[1] });
}

function startMap() {
  if (!atlas) return;
  const chart = byId("map-chart");
  chart.on("plotly_relayout", drawMap);
  chart.on("plotly_doubleclick", () => zoomMap(Infinity));
  chart.on("plotly_click", ({ points: [point] }) => askForRow(atlas.row[point.pointNumber]));
  byId("map-in").addEventListener("click", () => zoomMap(0.5));
  byId("map-out").addEventListener("click", () => zoomMap(2));
  byId("map-all").addEventListener("click", () => zoomMap(Infinity));
  byId("map-note").textContent = `最常用的 ${whole(atlas.row.length)} 个两字以上的词，向量相像的站在一起（t-SNE）；`
    + `${atlas.module.some((module) => module >= 0) ? "颜色是大群，与词群一图相同；" : ""}`
    + "字越大，用得越多；放不下的词是圆点，放大就露出来。点一个词，看它的近邻（带下划线）。";
}

if (atlas) {
  atlas.group.forEach((group, at) => {
    if (group < 0) return;
    const some = companions.get(group) ?? [];
    if (some.length < 7) companions.set(group, [...some, mapWord(at)]);
  });
}
if (vectors) startNeighbours();
