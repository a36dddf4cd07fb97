// The charts of ledger and words. Plotly reads a little markup in its labels, so every word is escaped for it.

const POINTS = 5000;

const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dark = matchMedia("(prefers-color-scheme: dark)");
const small = matchMedia("(max-width: 560px)");

function drawCharts() {
  drawLedger();
  drawCohesion();
  drawMap();
}

function layout(more) {
  const family = getComputedStyle(document.body).fontFamily;
  return {
    font: { family, size: 13, color: colour("--ink") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--idle"), activecolor: colour("--accent") },
    hoverlabel: {
      bgcolor: colour("--ink"), bordercolor: colour("--ink"), font: { family, size: 13, color: colour("--card") },
    },
    ...more,
  };
}

function axis(title, more) {
  return {
    title: title && { text: title, font: { size: 12, color: colour("--quiet") }, standoff: 10 },
    gridcolor: colour("--line"),
    linecolor: colour("--line"),
    tickfont: { size: 12, color: colour("--quiet") },
    zeroline: false,
    fixedrange: true,
    ...more,
  };
}

function drawLedger() {
  const { steps, tried } = data.ledger;
  const all = [...steps, ...tried];
  if (!all.length) return;
  // Places, not names, along the axis: a step may be both tried and taken.
  const taken = steps.map((_, at) => at);
  const idle = tried.map((_, at) => steps.length + at);
  const traces = [
    ledgerBars("正文 text", "text", steps, taken, solid("--accent")),
    ledgerBars("码本 codebook", "codebook", steps, taken, solid("--second")),
  ];
  if (tried.length) {
    const text = ledgerBars("未采用 tried", "text", tried, idle, hatched("/"));
    const codebook = ledgerBars("未采用 tried", "codebook", tried, idle, hatched("x"));
    traces.push(text, { ...codebook, showlegend: false });
  }
  const config = { displayModeBar: false, responsive: true };
  Plotly.react("ledger-chart", traces, ledgerLayout(all, steps.length), config);
}

function ledgerBars(name, key, steps, place, marker) {
  const part = key === "text" ? "正文 text" : "码本 codebook";
  return {
    type: "bar", orientation: "h", name, legendgroup: name, marker,
    x: steps.map((step) => step[key]), y: place,
    hovertemplate: `${part} %{x:.3f} 比特/字<extra></extra>`,
  };
}

function solid(name) {
  return { color: colour(name), line: { width: 1, color: colour(name) } };
}

function hatched(shape) {
  return {
    color: colour("--card"),
    line: { width: 1, color: colour("--idle") },
    pattern: { shape, fillmode: "overlay", fgcolor: colour("--idle"), size: 7, solidity: 0.25 },
  };
}

function ledgerLayout(all, taken) {
  const most = Math.max(...all.map((step) => step.total));
  return layout({
    barmode: "stack",
    bargap: 0.42,
    height: 62 + 58 * all.length,
    margin: { l: 4, r: 54, t: 34, b: 4 },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1, yanchor: "bottom", traceorder: "normal",
      font: { size: small.matches ? 12 : 13 }, itemwidth: 30 },
    xaxis: axis("", { range: [0, most], automargin: true }),
    yaxis: axis("", {
      tickvals: all.map((_, at) => at), ticktext: all.map((step, at) => ledgerLabel(step, at < taken)),
      range: [all.length - 0.5, -0.5], showgrid: false, automargin: true,
      ticks: "outside", ticklen: 8, tickcolor: "rgba(0,0,0,0)",
      tickfont: { size: 13, color: colour("--ink") },
    }),
    annotations: all.map((step, at) => ({
      x: step.total, y: at, text: `<b>${step.total.toFixed(3)}</b>`, showarrow: false,
      xanchor: "left", xshift: 6, font: { color: colour(at < taken ? "--ink" : "--quiet") },
    })),
  });
}

function ledgerLabel(step, taken) {
  const label = plain(stepName(step.step)) + (taken ? "" : " (未采用)");
  if (stepName(step.step) === step.step) return label;
  return `${label}<br><span style="font-size:11px">${plain(step.step)}</span>`;
}

function drawCohesion() {
  const rows = pointRows();
  byId("cohesion-chart").hidden = !rows.length;
  const words = data.words;
  byId("cohesion-note").textContent = rows.length
    ? `排名最前的 ${whole(rows.length)} 个词。${known ? "圆点：词典已有的词；菱形：新词。" : ""}`
    : "没有两字以上的词可画。";
  if (!rows.length) return;
  const low = (row) => Math.min(words.left_entropy[row] ?? 0, words.right_entropy[row] ?? 0);
  const groups = known
    ? [["已有 known", 1, "circle"], ["新词 new", 0, "diamond-open"]]
        .map(([name, flag, symbol]) => [name, rows.filter((row) => words.known[row] === flag), symbol])
    : [["词 words", rows, "circle"]];
  const traces = groups.flatMap(([name, some, symbol]) => [
    points(name, some, symbol, low), legendPoint(name, symbol),
  ]);
  Plotly.react("cohesion-chart", traces, cohesionLayout(rows), {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
    displayModeBar: small.matches ? false : "hover",
  });
}

// The top-ranked words, drawn last to first so that the best lie on top.
function pointRows() {
  const { word, length, count, cohesion } = data.words;
  const rows = [];
  for (let row = 0; row < word.length && rows.length < POINTS; row += 1) {
    if (length[row] > 1 && cohesion[row] !== null && count[row] > 0) rows.push(row);
  }
  return rows.reverse();
}

function points(name, rows, symbol, low) {
  const words = data.words;
  return {
    type: "scatter",
    mode: "markers",
    name,
    legendgroup: name,
    showlegend: false,
    x: rows.map((row) => words.count[row]),
    y: rows.map((row) => words.cohesion[row]),
    customdata: rows.map((row) => [
      plain(words.word[row]), fixed(words.left_entropy[row], 2), fixed(words.right_entropy[row], 2),
    ]),
    marker: {
      symbol,
      size: symbol === "circle" ? 6.5 : 7.5,
      color: rows.map(low),
      coloraxis: "coloraxis",
      line: symbol === "circle" ? { width: 0.6, color: colour("--card") } : { width: 1.6 },
    },
    hovertemplate: "<b>%{customdata[0]}</b><br>次数 %{x:,}<br>凝聚度 %{y:.2f}<br>"
      + "左熵 %{customdata[1]} · 右熵 %{customdata[2]}<extra></extra>",
  };
}

// A trace coloured by value has no one colour for the legend: this empty one stands in for it.
function legendPoint(name, symbol) {
  const marker = { symbol, size: 8, color: colour("--accent"), line: { width: 1.6 } };
  return { type: "scatter", mode: "markers", name, legendgroup: name, x: [null], y: [null], marker };
}

function cohesionLayout(rows) {
  const counts = rows.map((row) => data.words.count[row]);
  const decades = Math.log10(Math.max(...counts) / Math.min(...counts));
  return layout({
    height: small.matches ? 460 : 520,
    margin: { l: 10, r: 10, t: 28, b: 4 },
    // A finger on a small screen scrolls the page; a mouse draws a box to look closer.
    dragmode: matchMedia("(pointer: coarse)").matches || small.matches ? false : "zoom",
    showlegend: known,
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.01, yanchor: "bottom" },
    xaxis: axis("次数（对数）count, log", {
      type: "log", dtick: decades > 1.5 ? 1 : undefined, tickformat: ",", automargin: true,
      fixedrange: false,
    }),
    yaxis: axis("凝聚度 cohesion, nats", { automargin: true, fixedrange: false }),
    coloraxis: {
      colorscale: [[0, colour("--low")], [0.5, colour("--accent")], [1, colour("--high")]],
      cmin: 0,
      colorbar: {
        orientation: "h", thickness: 8, outlinewidth: 0, nticks: 5,
        // Beside the legend where there is room, below the plot where there is none.
        ...(small.matches ? { len: 1, x: 0.5, y: -0.17, yanchor: "top" }
          : { len: 0.36, x: 1, xanchor: "right", y: 1.01, yanchor: "bottom" }),
        tickfont: { size: 11, color: colour("--quiet") },
        title: {
          text: "左右熵的小者（比特）", side: "top", font: { size: 11, color: colour("--quiet") },
        },
      },
    },
  });
}

// Plotly holds colours and places by value: another palette or width is drawn anew.
for (const query of [dark, small]) query.addEventListener("change", drawCharts);
