// A page's live part is marked with data-live; the server sends it again
// whenever something changed.
for (const part of document.querySelectorAll("[data-live]")) {
  const controller = new AbortController();
  addEventListener("pagehide", () => controller.abort());
  // A page that the browser kept in memory is old when it comes back.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  follow(part, controller.signal);
}

// fetch instead of EventSource: the request is the page's own address, with
// another Accept header, and in the page's language whatever other tabs speak.
async function follow(part, signal) {
  const address = new URL(location.href);
  address.searchParams.set("lang", document.documentElement.lang);
  for (;;) {
    try {
      const response = await fetch(address, { headers: { Accept: "text/event-stream" }, signal });
      if (!response.ok) throw new Error(response.statusText);
      part.classList.remove("stale");
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let r = await reader.read(); !r.done; r = await reader.read()) {
        const events = (rest + r.value).split("\n\n");
        rest = events.pop();
        for (const event of events) show(part, event);
      }
    } catch (error) {
      if (signal.aborted) return;
    }
    part.classList.add("stale");
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

function show(part, event) {
  const lines = event.split("\n").filter((l) => l.startsWith("data: ")).map((l) => l.slice(6));
  if (lines.length === 0) return;
  const fresh = part.cloneNode(false);
  fresh.innerHTML = lines.join("\n");
  morph(part, fresh);
}

// morph makes an element like a fresh one and leaves alone what is the same, so
// that focus, selection and scrolling stay where the reader put them.
function morph(old, fresh) {
  for (const name of old.getAttributeNames()) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const had = [...old.childNodes];
  const has = [...fresh.childNodes];
  has.forEach((node, i) => {
    const was = had[i];
    if (!was) old.append(node);
    else if (was.nodeName !== node.nodeName) was.replaceWith(node);
    else if (was.nodeType !== Node.ELEMENT_NODE) was.data = node.data;
    else morph(was, node);
  });
  for (const node of had.slice(has.length)) node.remove();
}
