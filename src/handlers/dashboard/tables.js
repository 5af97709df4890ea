// Tables whose rows stay the same elements while their numbers change, so that a reader's selection, focus and opened
// details stay, too. All text goes in as text: a path may hold markup.

// A cell: a text, or { text, tone, second, sign, code, part, details }.
function fillCell(cell, content) {
  const told = JSON.stringify(content);
  // What a cell shows is kept with it: most do not change from one second to the next.
  if (cell.told === told) return;
  cell.told = told;
  const parts = typeof content === "object" && content !== null ? content : { text: content };
  const { text, tone, second, sign, code, part, details } = parts;
  cell.classList.remove("good", "warn", "bad", "soft");
  if (tone) cell.classList.add(tone);
  const made = [];
  if (part !== undefined) {
    const fill = html("i");
    fill.style.setProperty("--part", `${Math.min(100, part * 100)}%`);
    made.push(html("span", { class: "bar", "aria-hidden": "true" }, fill), html("span", {}, text));
  } else if (details) {
    const open = cell.querySelector("details")?.open;
    made.push(html("details", open ? { open: "" } : {}, html("summary", {}, html("code", {}, text)), html("p", {}, details)));
  } else if (text !== undefined && text !== "") {
    if (sign) made.push(html("span", { class: "sign", "aria-hidden": "true" }, sign));
    made.push(code ? html("code", {}, text) : String(text));
  }
  if (second) made.push(html("span", { class: "second" }, second));
  cell.replaceChildren(...made);
}

// Fills the table in the card `id`. `rows`: [{ key, cells }]; the first cell is the row's name, unless the card says
// data-heading="none". More than `most` are counted only.
function fillTable(id, rows, most = 50) {
  const card = document.getElementById(id);
  const table = card.querySelector("table");
  const body = table.tBodies[0];
  card.classList.toggle("is-empty", rows.length === 0);
  const columns = [...table.tHead.rows[0].cells];
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const shown = rows.slice(0, most);
  if (rows.length > most) shown.push({ key: "\0more", cells: [`and ${rows.length - most} more`], isMore: true });
  shown.forEach(({ key, cells, isMore }, place) => {
    const row = known.get(key) ?? makeRow(key, isMore ? columns.slice(0, 1) : columns, card.dataset.heading !== "none" && !isMore);
    known.delete(key);
    if (isMore) {
      row.className = "more";
      row.cells[0].colSpan = columns.length;
    }
    cells.forEach((content, nth) => fillCell(row.cells[nth], content));
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  });
  for (const row of known.values()) row.remove();
}

// The roles are those that the elements have anyway: style sheets that lay out a table otherwise take them away.
function makeRow(key, columns, hasHeading) {
  const row = html("tr", { role: "row" });
  row.dataset.key = key;
  columns.forEach((column, place) => {
    // Where the head of a table is not seen, style sheets show the names of the columns in the cells.
    const both = { class: column.className, "data-column": column.textContent.toLowerCase() };
    const isHeading = hasHeading && place === 0;
    row.append(isHeading ? html("th", { scope: "row", role: "rowheader", ...both }) : html("td", { role: "cell", ...both }));
  });
  return row;
}

// Gives the tables that style sheets lay out otherwise their roles back.
function keepRoles() {
  const roles = [["thead, tbody", "rowgroup"], ["tr", "row"], ["th[scope=col]", "columnheader"]];
  for (const [selector, role] of roles) {
    for (const element of document.querySelectorAll(selector)) element.setAttribute("role", role);
  }
}

// Fills a list of names and values. `rows`: [[name, cell]].
function fillList(id, rows) {
  const card = document.getElementById(id);
  const list = card.querySelector("dl");
  card.classList.toggle("is-empty", rows.length === 0);
  while (list.children.length > rows.length) list.lastChild.remove();
  rows.forEach(([name, content], place) => {
    const pair = list.children[place] ?? list.appendChild(html("div", {}, html("dt"), html("dd")));
    setText(pair.firstChild, name);
    fillCell(pair.lastChild, content);
  });
}
