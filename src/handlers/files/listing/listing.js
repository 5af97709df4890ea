// The page needs no script. This one shows times as the reader's clock has them, hides rows while a filter is
// typed, and shows the README.
(() => {
  const two = (number) => String(number).padStart(2, "0");
  for (const time of document.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    time.title = time.textContent + " UTC";
    time.textContent = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
      `${two(at.getHours())}:${two(at.getMinutes())}`;
  }
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
  const head = document.querySelector("th:nth-child(3) a").firstChild;
  head.data = `Modified (${zone.split("/").pop().replaceAll("_", " ")})`;
  head.parentNode.title = zone;

  const box = document.querySelector("[name=filter]");
  const rows = [...document.querySelectorAll("tbody tr:not(.up)")];
  box.addEventListener("input", () => {
    const text = box.value.trim().toLowerCase();
    for (const row of rows) {
      row.hidden = !row.querySelector("bdi").textContent.toLowerCase().includes(text);
    }
  });

  const readme = document.querySelector(".readme");
  if (readme) {
    fetch(readme.querySelector("a").href).then(async (response) => {
      if (!response.ok) return;
      const text = document.createElement("pre");
      text.textContent = await response.text();
      readme.append(text);
    }, () => {});
  }
})();
