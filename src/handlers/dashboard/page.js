// Lists the numbers of each snapshot. They go in as text: a path of a request may hold markup.

const state = document.getElementById("state");
const numbers = document.getElementById("numbers");

/** Adds a row for each number beneath `value`, called by its keys. */
function rows(name, value, into) {
  if (value !== null && typeof value === "object") {
    for (const [key, inner] of Object.entries(value)) {
      rows(name ? `${name} ${key}` : key, inner, into);
    }
    return;
  }
  const row = document.createElement("tr");
  const title = document.createElement("th");
  title.scope = "row";
  title.textContent = name;
  const cell = document.createElement("td");
  cell.textContent = String(value);
  row.append(title, cell);
  into.push(row);
}

const events = new EventSource("?events");
events.addEventListener("snapshot", (event) => {
  const { bounds_us, series, ...snapshot } = JSON.parse(event.data);
  const all = [];
  rows("", snapshot, all);
  numbers.replaceChildren(...all);
  state.textContent = "live";
});
events.addEventListener("error", () => {
  state.textContent = "no connection; trying again";
});
