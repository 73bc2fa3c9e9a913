// Runs the script of the query page without a browser: node page_run.js URL_OF_PAGE QUERY SHOW END
// The page's own requests go to the server. Prints what the page shows as JSON.
"use strict";
const [base, query, show, end] = process.argv.slice(2);

class Node {
  constructor(tag) {
    Object.assign(this, { tag, children: [], dataset: {}, style: {}, textContent: "", hidden: false, clientWidth: 600, clientHeight: 300 });
  }
  appendChild(n) { this.children.push(n); return n; }
  append(...all) { for (const n of all) this.textContent += n; }
  replaceChildren() { this.children = []; }
  addEventListener(kind, f) { this["on" + kind] = f; }
  insertRow() { return this.appendChild(new Node("tr")); }
  insertCell() { return this.appendChild(new Node("td")); }
  getContext() {
    const count = (name) => () => { this[name] = (this[name] || 0) + 1; };
    return { fillText: count("texts"), beginPath() {}, moveTo: count("moves"), lineTo: count("lines"), stroke() {}, fillRect() {} };
  }
}

(async () => {
  const answer = await fetch(base);
  const page = await answer.text();
  const script = page.match(/<script>([\s\S]*?)<\/script>/)[1];
  const nodes = {};
  for (const [, tag, id] of page.matchAll(/<(\w+) id="(\w+)"/g)) nodes[id] = new Node(tag);
  const fields = {};
  for (const [, name] of page.matchAll(/<(?:input|select|textarea) name="(\w+)"/g)) fields[name] = Object.assign(new Node(name), { name, value: "" });
  for (const name of ["dedup", "partial"]) Object.assign(fields[name], { type: "checkbox", checked: true });
  Object.assign(fields.expr, { value: query });
  Object.assign(fields.show, { value: show });
  Object.assign(fields.range, { value: "10m" });
  Object.assign(fields.end, { value: new Date(end * 1000).toISOString().slice(0, 19) });
  Object.assign(nodes.form, fields, { elements: Object.values(fields) });
  const asked = [];
  const world = {
    document: { getElementById: (id) => nodes[id], createElement: (tag) => new Node(tag), body: new Node("body") },
    window: { devicePixelRatio: 1 },
    location: { hash: "" },
    performance, URLSearchParams,
    FormData: class { *[Symbol.iterator]() { for (const f of Object.values(fields)) yield [f.name, String(f.value)]; } },
    getComputedStyle: () => ({ color: "black" }),
    fetch: (path, o) => { asked.push([path, String(o.body)]); return fetch(new URL(path, base), o); },
  };
  new Function(...Object.keys(world), script)(...Object.values(world));
  nodes.form.onsubmit({ preventDefault() {} });
  const until = Date.now() + 20000;
  while ((nodes.said.textContent === "..." || !nodes.said.textContent) && Date.now() < until) await new Promise((r) => setTimeout(r, 20));
  console.log(JSON.stringify({
    asked, said: nodes.said.textContent, kind: nodes.said.className, hash: String(world.location.hash),
    table: nodes.table.children.map((row) => row.children.map((cell) => cell.textContent)),
    chart: { hidden: nodes.chart.hidden, lines: nodes.chart.lines || 0, texts: nodes.chart.texts || 0 },
    legend: nodes.legend.children.map((item) => item.textContent),
  }));
})();
