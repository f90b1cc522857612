// Pages that change: fetched again while they are looked at, and only then. Copy buttons.
"use strict";

function wireCopy(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

async function refresh() {
  const live = document.getElementById("live");
  if (!live || !live.dataset.live || document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (!fresh) return;
    live.replaceWith(fresh);
    document.title = page.title;
    wireCopy(fresh);
  } catch { /* the service is away: the page stays as it was and is tried again */ }
}

async function keepFresh() {
  const live = document.getElementById("live");
  if (!live || !live.dataset.live) return;
  await refresh();
  setTimeout(keepFresh, Number(live.dataset.live));
}

document.addEventListener("DOMContentLoaded", () => {
  wireCopy(document);
  const live = document.getElementById("live");
  if (live && live.dataset.live) setTimeout(keepFresh, Number(live.dataset.live));
  document.addEventListener("visibilitychange", refresh);
});
