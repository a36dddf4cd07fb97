"use strict";
// Charts as Python made them, in the colours of the page. Texts are only ever set as text nodes,
// and escaped where Plotly would read markup.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function make(tag, name, text) {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

function showHeader() {
  byId("headline").textContent = data.title;
  byId("sources").textContent = data.sources;
  byId("tiles").hidden = !data.tiles.length;
  data.tiles.forEach(([label, value], at) => {
    const tile = make("div", at ? "tile" : "tile good", "");
    tile.append(make("span", "", label), make("strong", "", value));
    byId("tiles").append(tile);
  });
}

function heading({ heading, english }) {
  const title = make("h2", "", heading);
  if (english) title.append(" ", make("small", "", english));
  return title;
}

function showCards() {
  data.charts.forEach((chart, at) => {
    const card = make("section", "card", "");
    const box = make("div", "chart", "");
    box.id = `chart-${at}`;
    if (chart.layout.height) box.style.height = `${chart.layout.height}px`;
    box.style.minWidth = `${chart.width}px`;
    const frame = make("div", chart.width ? "scroll" : "", "");
    frame.append(box);
    card.append(heading(chart), make("p", "quiet", chart.note), frame);
    byId("charts").append(card);
  });
}

function row(cells, tag) {
  const line = make("tr", "", "");
  line.append(...cells.map((cell, at) => make(tag, at ? "number" : "", cell)));
  return line;
}

function showTable() {
  if (!data.table) return;
  const { note, columns, rows } = data.table;
  const [head, body, table] = ["thead", "tbody", "table"].map((tag) => make(tag, "", ""));
  const names = row(columns.map(([name]) => name), "th");
  columns.forEach(([, english], at) => names.cells[at].append(make("small", "", english)));
  head.append(names);
  body.append(...rows.map((cells) => row(cells, "td")));
  table.id = "table";
  table.append(head, body);
  const [card, scroll] = [make("section", "card", ""), make("div", "scroll", "")];
  scroll.append(table);
  card.append(heading(data.table), make("p", "quiet", note), scroll);
  byId("charts").append(card);
}

// Plotly reads markup where these stand.
const WRITTEN = new Set(["name", "text", "ticktext", "hovertext"]);

// A copy of plain data with palette names replaced by colours, and what users wrote escaped.
function dressed(value, key) {
  if (Array.isArray(value)) return value.map((part) => dressed(part, key));
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, dressed(part, name)]));
  }
  if (typeof value !== "string") return value;
  if (WRITTEN.has(key)) return plain(value);
  return value.startsWith("--") ? colour(value) : value;
}

function axis(more) {
  return {
    gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--line"),
    tickfont: { size: 12, color: colour("--quiet") },
    automargin: true,
    ...more,
    title: { ...more?.title, font: { size: 13, color: colour("--quiet") }, standoff: 10 },
  };
}

function layoutOf(chart) {
  const family = getComputedStyle(document.body).fontFamily;
  const given = dressed(chart.layout);
  return {
    ...given,
    font: { family, size: 13, color: colour("--ink") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 8, r: 8, t: given.showlegend === false ? 12 : 36, b: 8 },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" },
    xaxis: axis(given.xaxis),
    yaxis: axis(given.yaxis),
    ...(given.yaxis2 && { yaxis2: axis(given.yaxis2) }),
    hoverlabel: {
      bgcolor: colour("--ink"), bordercolor: colour("--ink"), font: { family, size: 13, color: colour("--card") },
    },
  };
}

function drawCharts() {
  data.charts.forEach((chart, at) => {
    const config = { displayModeBar: false, responsive: true };
    Plotly.react(`chart-${at}`, dressed(chart.traces), layoutOf(chart), config);
  });
}

showHeader();
showCards();
showTable();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
