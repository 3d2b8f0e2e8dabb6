"use strict";
// Lists the attempts: a hundred rows at a time, what the filters let through, newest first. Text is only ever set as text.
addEventListener("load", () => setTimeout(() => {
  const STEP = 100, SIGNS = {uploaded: "✓", unchanged: "=", skipped: "↷", failed: "✗"};
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const body = byId("rows"), more = byId("more"), count = byId("count");
  const choices = {status: ["statuses", 1], account: ["accounts", 4], zone: ["zones", 5], reason: ["reasons", 9]};
  const usual = (path) => data.root + "/" + (path.startsWith(data.data + "/") ? path.slice(data.data.length + 1) : path);
  let texts = null, found = [], shown = 0, waiting = 0;

  for (const [id, [list]] of Object.entries(choices))
    for (const [index, name] of [...data[list].entries()].filter((each) => each[1]).sort((a, b) => a[1] < b[1] ? -1 : 1))
      byId(id).append(new Option(name, index));

  function add(row, kind, label, text, name) {
    const cell = row.appendChild(document.createElement(kind));
    if (kind === "th") cell.scope = "row"; else cell.dataset.label = label;
    if (name) cell.className = name;
    cell.textContent = text;
    return cell;
  }
  function small(cell, text) {
    if (!text) return;
    const box = cell.appendChild(document.createElement("small"));
    for (const part of text.split(/(--[a-z][a-z-]*)/)) {
      if (!part.startsWith("--")) box.append(part);
      else Object.assign(box.appendChild(document.createElement("span")), {className: "t", textContent: part});
    }
  }
  function line([time, status, path, place, account, , size, attempt, requests, reason, message, link]) {
    const row = document.createElement("tr"), name = data.statuses[status], known = name in SIGNS;
    small(add(row, "th", "", path), data.messages[message]);
    small(add(row, "td", "Status", (known ? SIGNS[name] + " " : "") + name, known ? name + " t" : "t"), data.reasons[reason]);
    const where = name === "failed" && !link ? "" : place === 0 ? usual(path) : place;
    const cell = add(row, "td", "On Drive", link ? "" : where);
    if (link) {
      const anchor = cell.appendChild(document.createElement("a"));
      anchor.href = link.startsWith("https://") ? link : data.link[0] + link + data.link[1];
      anchor.rel = "noreferrer";
      anchor.textContent = where || "on Drive";
    }
    add(row, "td", "Time (UTC)", time, "t");
    add(row, "td", "Account", data.accounts[account]);
    add(row, "td", "Size", size, "n");
    add(row, "td", "Attempt", attempt, "n");
    add(row, "td", "Requests", requests, "n");
    return row;
  }
  function showMore() {
    body.append(...found.slice(shown, shown + STEP).map((index) => line(data.rows[index])));
    shown = Math.min(found.length, shown + STEP);
    more.hidden = shown === found.length;
    count.textContent = `${found.length} of ${data.rows.length} attempts match, ${shown} shown, newest first`;
  }
  function filter() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const picked = Object.entries(choices).map(([id, [, column]]) => [column, byId(id).value]).filter((each) => each[1] !== "");
    if (words.length && !texts)
      texts = data.rows.map((row) => [row[2], row[3] || usual(row[2]), data.reasons[row[9]], data.messages[row[10]], row[0]]
        .join("\n").toLowerCase());
    found = [];
    data.rows.forEach((row, index) => {
      if (picked.every(([column, value]) => row[column] == value) && words.every((word) => texts[index].includes(word)))
        found.push(index);
    });
    body.replaceChildren();
    shown = 0;
    showMore();
  }
  for (const id of ["search", ...Object.keys(choices)])
    byId(id).addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 60); });
  more.addEventListener("click", () => {
    const at = shown;
    showMore();
    const next = body.children[at];
    if (next) { next.tabIndex = -1; next.focus({preventScroll: true}); }
  });
  for (const link of document.querySelectorAll("a[data-filter]"))
    link.addEventListener("click", () => {
      for (const id of ["search", ...Object.keys(choices)]) byId(id).value = "";
      for (const part of link.dataset.filter.split("\n")) {
        const [id, name] = [part.slice(0, part.indexOf("=")), part.slice(part.indexOf("=") + 1)];
        const index = data[choices[id][0]].indexOf(name);
        byId(id).value = index < 0 ? "" : index;
      }
      filter();
    });
  document.querySelector(".filters").hidden = false;
  filter();
  document.documentElement.dataset.ready = "yes";
}));
