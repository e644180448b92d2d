// The search of the theme shows an empty box when a word is nowhere on the site. This says so.
// Its results live in a shadow root that the theme makes when the search is first opened.

const seen = new WeakSet();

function say(root) {
  const query = root.querySelector('input[role="combobox"]')?.value.trim() ?? "";
  const list = root.querySelector("ol");
  if (!list) return;
  const none = query !== "" && list.childElementCount === 0;
  let line = root.querySelector("[data-no-results]");
  if (!line) {
    line = document.createElement("p");
    line.dataset.noResults = "";
    line.setAttribute("role", "status");
    line.style.cssText = "margin: 1rem; font-size: 0.9rem;";
    list.before(line);
  }
  const text = none ? `Nothing on this site mentions “${query}”.` : "";
  if (line.textContent !== text) line.textContent = text;
  line.hidden = !none;
}

function watch(root) {
  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(() => say(root), 300); // results come from a worker
  };
  root.addEventListener("input", later);
  new MutationObserver(later).observe(root, { childList: true, subtree: true });
  later();
}

new MutationObserver(() => {
  for (const host of document.body.children) {
    if (host.shadowRoot && !seen.has(host)) {
      seen.add(host);
      watch(host.shadowRoot);
    }
  }
}).observe(document.body, { childList: true });
