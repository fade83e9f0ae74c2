document.querySelectorAll("th[data-sort]").forEach(function (head) {
  head.tabIndex = 0;
  function sort() {
    var table = head.closest("table"), body = table.tBodies[0];
    var column = Array.prototype.indexOf.call(head.parentNode.children, head);
    var up = head.getAttribute("aria-sort") === "descending";
    table.querySelectorAll("th[aria-sort]").forEach(function (h) { h.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    function value(row) {
      var cell = row.children[column];
      var text = cell.getAttribute("data-value") || cell.textContent.trim();
      var number = Number(text.replace(/,/g, ""));
      return text === "" || isNaN(number) ? text.toLowerCase() : number;
    }
    Array.from(body.rows).sort(function (a, b) {
      var x = value(a), y = value(b);
      var order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return up ? order : -order;
    }).forEach(function (row) { body.appendChild(row); });
  }
  head.addEventListener("click", sort);
  head.addEventListener("keydown", function (e) { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); sort(); } });
});
window.addEventListener("beforeprint", function () {
  document.querySelectorAll("details").forEach(function (d) { d.open = true; });
});
document.querySelectorAll("figure.map").forEach(function (map) {
  var drawn = map.querySelector(".drawn"), tip = map.querySelector(".tip"), here = map.querySelector(".here");
  var sheet = tip.querySelector("img"), columns = Number(sheet.getAttribute("data-columns")), now = -1;
  var points = Array.from(map.querySelectorAll("li")).map(function (li) {
    return { x: Number(li.getAttribute("data-x")), y: Number(li.getAttribute("data-y")), words: li.textContent };
  });
  function show(i) {
    now = i;
    tip.hidden = here.hidden = i < 0;
    if (i < 0) return;
    var side = sheet.parentNode.clientWidth, x = points[i].x * drawn.clientWidth, y = points[i].y * drawn.clientHeight;
    sheet.style.width = columns * side + "px";
    sheet.style.marginLeft = -(i % columns) * side + "px";
    sheet.style.marginTop = -Math.floor(i / columns) * side + "px";
    tip.querySelector("p").textContent = points[i].words;
    here.style.left = x + "px";
    here.style.top = y + "px";
    tip.className = x - drawn.parentNode.scrollLeft > drawn.parentNode.clientWidth / 2 ? "tip left" : "tip";
  }
  function at(e) {
    var box = drawn.getBoundingClientRect(), nearest = -1, least = 24 * 24;
    points.forEach(function (p, i) {
      var dx = box.left + p.x * box.width - e.clientX, dy = box.top + p.y * box.height - e.clientY, d = dx * dx + dy * dy;
      if (d < least) { least = d; nearest = i; }
    });
    if (nearest !== now) show(nearest);
  }
  drawn.addEventListener("pointermove", at);
  drawn.addEventListener("pointerdown", at);
  drawn.addEventListener("pointerleave", function (e) { if (e.pointerType === "mouse") show(-1); });
  map.addEventListener("blur", function () { show(-1); });
  map.addEventListener("keydown", function (e) {
    var step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
    if (step) { e.preventDefault(); show(now < 0 ? (step > 0 ? 0 : points.length - 1) : (now + step + points.length) % points.length); }
    if (e.key === "Escape") show(-1);
  });
});
