// Sentences put together: a template is a box, its words in strong letters, and each slot a box in it
// with whatever fills it, which may hold templates again.

function parseRow(items, depth = 0) {
  return items.map((item) => (typeof item === "string" ? make("span", "piece", item) : parseBox(item, depth)));
}

// Slots side by side, or one in the other, differ in colour.
function parseBox({ parts, uses, inside }, depth) {
  let slot = 0;
  const box = make("span", "join", ...parts.map((part) => {
    if (part !== null) return make("b", "", part);
    const hole = make("span", `hole slot-${(depth + slot) % SLOT_COLOURS}`, ...parseRow(inside[slot], depth + 1));
    slot += 1;
    return hole;
  }));
  box.dataset.tip = `${parts.map((part) => part ?? "[X]").join(" ")} · ${whole(uses)} 次`;
  return box;
}

function showParses() {
  const { sentences, passage, examples } = data.parses;
  byId("parses-note").textContent = "一个框是一个模版，框里的彩底是它的槽；移上去或点一下，看是哪个模版。"
    + "每句话取最省比特的拼法，没有模版的词照原样排着。";
  const lines = (heading, rows) => (rows.length ? [make("h3", "", heading),
    ...rows.map((items) => make("p", "parse", ...parseRow(items)))] : []);
  const left = sentences - passage.length;
  byId("parse-lines").replaceChildren(
    ...lines(`那段原文里用到模版的句子（${whole(passage.length)} / ${whole(sentences)}）`, passage),
    ...(passage.length || !left ? [] : [make("p", "quiet", `那段原文的 ${whole(left)} 句都没有用到模版。`)]),
    ...lines("模版套着模版的例子", examples),
  );
  for (const kind of ["pointerover", "click"]) {
    byId("parse-lines").addEventListener(kind, (event) => {
      const box = event.target.closest(".join");
      tipOver(box, box?.dataset.tip);
    });
  }
  byId("parse-lines").addEventListener("pointerleave", () => tipOver(null));
}

byId("parses").hidden = !data.parses;
if (data.parses) showParses();
