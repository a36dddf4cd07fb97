// The picture of groups of words: a bubble for each, as large as its share of the text, those of one
// module side by side and of one colour. Drawn as SVG by hand; words are only ever text nodes.

const narrow = matchMedia("(max-width: 560px)");
let chosen = null;

function drawGroups() {
  const found = data.groups;
  byId("groups").hidden = !found;
  if (!found) return;
  const shown = found.shown.slice(0, narrow.matches ? 24 : 60);
  byId("groups-note").textContent = `${whole(found.words)} 个词分成 ${whole(found.groups)} 群：上下文相似的词在一群，`
    + `画出用得最多的 ${shown.length} 群。圆的面积是用量，颜色相同的属于同一个大群；点一个圆，看群里的词。`;
  const circles = packed(shown, narrow.matches ? 0.8 : 2);
  const box = bounds(circles);
  byId("bubbles").setAttribute("viewBox", box.join(" "));
  byId("bubbles").replaceChildren(...circles.map((circle, at) => bubble(shown[at], circle, at)));
  // A group of words says more at first sight than one of commas.
  const telling = shown.findIndex((group) => [...group.words[0]].length > 1);
  choose(Math.min(chosen ?? Math.max(0, telling), shown.length - 1));
}

// The element on the page knows the name of its namespace, which looks like an address.
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(byId("bubbles").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// One after the other, the largest first, each where it touches two that lie already and is nearest
// to its own module; `wide` stretches the picture.
function packed(shown, wide) {
  const circles = [];
  for (const { share, module } of shown) {
    const circle = { r: Math.sqrt(Math.max(share, 2e-4)) * 100, module, x: 0, y: 0 };
    if (circles.length) Object.assign(circle, place(circle, circles, wide));
    circles.push(circle);
  }
  return circles;
}

function place(circle, circles, wide) {
  const own = circles.filter((other) => other.module === circle.module);
  const home = (key) => own.reduce((sum, other) => sum + other[key], 0) / Math.max(1, own.length);
  const [x, y] = [home("x"), home("y")];
  const far = (at) => Math.hypot(at.x / wide, at.y) * (own.length ? 0.35 : 1)
    + (own.length ? Math.hypot(at.x - x, at.y - y) : 0);
  const free = (at) => circles.every((other) => (
    Math.hypot(at.x - other.x, at.y - other.y) > other.r + circle.r + 0.2));
  const spots = circles.flatMap((one, i) => circles.slice(0, i).flatMap((two) => touching(one, two, circle.r)));
  if (circles.length === 1) spots.push({ x: circles[0].r + circle.r + 0.4, y: 0 });
  return spots.filter(free).sort((one, two) => far(one) - far(two))[0];
}

// The two places where a circle of radius r touches both others, if they are near enough.
function touching(one, two, r) {
  const [a, b] = [one.r + r + 0.4, two.r + r + 0.4];
  const [dx, dy] = [two.x - one.x, two.y - one.y];
  const d = Math.hypot(dx, dy);
  if (d > a + b) return [];
  const along = (a * a - b * b + d * d) / (2 * d);
  const aside = Math.sqrt(Math.max(0, a * a - along * along));
  return [1, -1].map((side) => ({
    x: one.x + (along * dx - side * aside * dy) / d, y: one.y + (along * dy + side * aside * dx) / d,
  }));
}

function bounds(circles) {
  const least = (key) => Math.min(...circles.map((circle) => circle[key] - circle.r)) - 1;
  const most = (key) => Math.max(...circles.map((circle) => circle[key] + circle.r)) + 1;
  return [least("x"), least("y"), most("x") - least("x"), most("y") - least("y")];
}

function bubble(group, { x, y, r }, at) {
  // The golden angle keeps the hues of any two modules apart.
  const hue = (group.module * 137.508 + 165) % 360;
  const mark = svg("g", { class: "bubble", tabindex: 0, role: "button", "data-at": at, style: `--hue: ${hue.toFixed(1)}` },
    svg("circle", { cx: x, cy: y, r }));
  mark.setAttribute("aria-label", group.words.slice(0, 5).join(" "));
  const lines = labels(group.words.slice(0, Math.max(1, group.main)), r);
  lines.forEach(({ word, size }, line) => {
    const text = svg("text", { x, y: y + (line - (lines.length - 1) / 2) * size * 1.18, "font-size": size });
    text.append(word);
    mark.append(text);
  });
  return mark;
}

// As many words as there is room for, a line each, in letters that stay legible.
function labels(words, r) {
  const most = r > 7 ? 4 : r > 4 ? 3 : r > 2.4 ? 2 : 1;
  const some = words.filter((word) => [...word].length <= 5).slice(0, most);
  const kept = some.length ? some : words.slice(0, 1);
  const longest = Math.max(...kept.map((word) => [...word].length));
  const size = Math.min((1.7 * r) / Math.max(2, longest), (1.55 * r) / (kept.length * 1.18), 4.4);
  return kept.map((word) => ({ word: [...word].slice(0, 8).join(""), size }));
}

function choose(at) {
  chosen = at;
  for (const mark of document.querySelectorAll(".bubble")) {
    mark.classList.toggle("chosen", Number(mark.dataset.at) === at);
  }
  const group = data.groups.shown[at];
  const more = group.size - group.words.length;
  byId("members").replaceChildren(
    make("p", "quiet", `${whole(group.size)} 个词，占全文 ${(100 * group.share).toFixed(2)}%`),
    make("p", "sentence", ...group.words.map((word) => make("span", "unit word whole", word)),
      more > 0 ? `还有 ${whole(more)} 个，见 groups.tsv` : ""),
  );
}

for (const kind of ["click", "keydown"]) {
  byId("bubbles").addEventListener(kind, (event) => {
    const mark = event.target.closest(".bubble");
    if (!mark || (kind === "keydown" && !["Enter", " "].includes(event.key))) return;
    if (kind === "keydown") event.preventDefault();
    choose(Number(mark.dataset.at));
  });
}
narrow.addEventListener("change", drawGroups);
drawGroups();
