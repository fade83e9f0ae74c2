// The page works without this. With it pictures are dropped, pasted and sent one at a time.
"use strict";
const form = document.getElementById("form");
const drop = document.getElementById("drop");
const results = document.getElementById("results");
const progress = document.getElementById("progress");
const tables = [];
let waiting = [], sent = 0, all = 0, busy = false;
document.documentElement.classList.add("script");

function take(files) {
  const pictures = [...files];
  if (!pictures.length) return;
  waiting.push(...pictures);
  all += pictures.length;
  if (!busy) work();
}

async function work() {
  busy = true;
  while (waiting.length) {
    progress.textContent = all > 1 ? `Picture ${sent + 1} of ${all} …` : "Looking …";
    await send(waiting.shift());
    sent += 1;
  }
  progress.textContent = all > 1 ? `${all} pictures done.` : "Done.";
  busy = false;
  sent = all = 0;
}

async function send(picture) {
  const data = new FormData(form);
  data.delete("pictures");
  data.append("pictures", picture, picture.name || "pasted");
  const part = document.createElement("template");
  for (let tries = 0; ; tries += 1) {
    let answer;
    try {
      answer = await fetch("/?part=1", { method: "POST", body: data, credentials: "same-origin" });
    } catch {
      refuse(`${picture.name || "The picture"}: the server cannot be reached.`);
      return;
    }
    if (answer.status === 429 && tries < 5) {
      await new Promise((go) => setTimeout(go, 1000 * Number(answer.headers.get("Retry-After") || 5)));
      continue;
    }
    part.innerHTML = await answer.text();
    break;
  }
  results.hidden = false;
  const link = part.content.getElementById("csv");
  if (link) keep(link.getAttribute("href"));
  const first = results.querySelector(".result");
  for (const one of part.content.querySelectorAll(".result")) results.insertBefore(one, first);
}

function refuse(sentence) {
  const one = document.createElement("article");
  one.className = "result failed";
  const words = document.createElement("p");
  words.className = "trouble";
  words.textContent = sentence;
  one.append(words);
  results.hidden = false;
  results.insertBefore(one, results.querySelector(".result"));
}

// The rows of one table for all pictures so far.
function keep(address) {
  const bytes = Uint8Array.from(atob(address.split(",")[1]), (c) => c.charCodeAt(0));
  const text = new TextDecoder().decode(bytes);
  const header = text.slice(0, text.indexOf("\n") + 1);
  let table = tables.find((t) => t.header === header);
  if (!table) tables.push((table = { header, rows: "" }));
  table.rows += text.slice(header.length);
  let link = document.getElementById("csv");
  if (!link) {
    const line = document.createElement("p");
    line.className = "all";
    link = document.createElement("a");
    Object.assign(link, { id: "csv", className: "button quiet", download: "predictions.csv", textContent: "All as CSV" });
    line.append(link);
    results.prepend(line);
  }
  const whole = new TextEncoder().encode(tables.map((t) => t.header + t.rows).join(""));
  let binary = "";
  for (const byte of whole) binary += String.fromCharCode(byte);
  link.href = "data:text/csv;base64," + btoa(binary);
}

for (const id of ["pictures", "camera"]) {
  document.getElementById(id).addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = "";
  });
}
form.addEventListener("submit", (event) => event.preventDefault());
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") take(event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => take(event.clipboardData.files));
const before = document.getElementById("csv");
if (before) keep(before.getAttribute("href"));
