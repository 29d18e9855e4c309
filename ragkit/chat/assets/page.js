// The page's script: what is clicked, typed or dropped becomes an event for the server, and what comes back finds its place.
// Gradio runs it once. Text from elsewhere is only ever set with textContent.
(() => {
  const ragkit = (window.ragkit = window.ragkit || {});
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const root = document.documentElement;
  const NARROW = matchMedia("(max-width: 899px)");
  const DARK = matchMedia("(prefers-color-scheme: dark)");

  let channel = null;
  let busy = false;
  let opening = false; // another conversation is on its way
  let held = null; // what was asked meanwhile, for that conversation
  let opened = null; // what opened the panel, which gets the focus back

  // the server

  const send = (event, data = {}) => {
    if (event === "select" || event === "delete") opening = true;
    if (channel) channel.trigger(event, data);
  };
  const thread = () => $("#rk-thread .rk-thread");
  const current = () => thread()?.dataset.conversation ?? "";

  ragkit.connect = () => {
    channel = ragkit.channel;
    send("select", { conversation: location.hash.slice(1) });
  };

  ragkit.signal = (signal) => {
    if (!signal) return;
    if (signal.kind === "save") save(signal);
    else toast(signal.text, signal.kind);
  };

  // called when a handler has come to its end, however it ended
  ragkit.settled = (handler) => {
    if (handler === "ask") finish();
    if (handler === "upload") $("#rk-composer form").removeAttribute("data-sending");
    if (handler === "settings" || handler === "open" || handler === "ask") refreshForm();
    if (handler === "open" || handler === "delete") arrive();
    if (handler === "source") showPanel("source");
    place();
  };

  const arrive = () => {
    opening = false;
    closePanel(false);
    scrollDown();
    if (held === null) setBusy(false);
    else submit(held);
    if (!NARROW.matches) question().focus();
  };

  const place = () => {
    const hash = current() ? `#${current()}` : "";
    if (location.hash !== hash) history.replaceState(null, "", location.pathname + location.search + hash);
  };

  // asking

  const question = () => $("#rk-composer textarea");

  const setBusy = (value) => {
    busy = value;
    document.body.toggleAttribute("data-busy", value);
    question().disabled = false;
    $("#rk-composer .rk-send").disabled = false;
    $("#rk-composer .rk-send").hidden = value;
    $("#rk-composer .rk-stop").hidden = !value;
  };

  // what Gradio says of the connection; a question that did not get through stands where it was written
  const lost = (text) => {
    toast(text || "The connection to the server was lost.", "error");
    opening = false;
    held = null;
    if (!busy) return;
    setBusy(false);
    question().value ||= asked;
  };

  let asked = "";
  const ask = (text) => {
    if (!text.trim()) return;
    if (busy) return toast("The question before is still being answered. Wait for it, or stop it.", "error");
    setBusy(true);
    announce("Answering");
    asked = text;
    stick = true;
    if (opening) held = text;
    else submit(text);
  };

  const submit = (text) => {
    held = null;
    send("submit", { conversation: current(), question: text });
  };

  const finish = () => {
    setBusy(false);
    const last = $("#rk-live .rk-turn") || $$("#rk-thread .rk-turn").pop();
    announce(last ? $(".rk-answer", last).textContent.replace(/\s+/g, " ").trim().slice(0, 4000) : "");
    scrollDown();
  };

  const announce = (text) => {
    announcer.textContent = text;
  };

  // where the conversation stands: it follows what comes until somebody scrolls up

  let stick = true;
  const scroller = () => $("#rk-scroll");
  const scrollDown = () => requestAnimationFrame(() => scroller()?.scrollTo(0, stick ? scroller().scrollHeight : scroller().scrollTop));

  // panels

  const showPanel = (name) => {
    document.body.dataset.panel = name;
    const panel = $(name === "source" ? "#rk-panel" : "#rk-tune");
    const mark = $("mark", panel);
    if (mark) {
      const box = mark.closest(".rk-document");
      box.scrollTop = mark.offsetTop - box.clientHeight / 3;
    }
    const scrolls = $(".rk-scrolls", panel);
    if (scrolls && name === "source") scrolls.scrollTop = 0;
    $("h2", panel)?.focus({ preventScroll: true });
  };

  const closePanel = (refocus = true) => {
    const was = document.body.dataset.panel;
    delete document.body.dataset.panel;
    if (was && refocus) (opened?.isConnected ? opened : question())?.focus();
  };

  const toggleSide = (open = !document.body.hasAttribute("data-side")) => {
    document.body.toggleAttribute("data-side", open);
    if (open) $("#rk-side button")?.focus();
  };

  const refreshForm = () => {
    for (const input of $$("#rk-tune input")) {
      if (input.type === "checkbox") input.checked = input.hasAttribute("checked");
      else input.value = input.getAttribute("value");
    }
  };

  const settings = (form, sender) => {
    const on = (name) => $(`[name=${name}]`, form).checked;
    const alpha = $("[name=alpha]", form);
    const moved = alpha && (alpha.dataset.set === "yes" || sender === alpha);
    send("apply", {
      conversation: current(),
      k: Number($("[name=k]", form).value),
      dense: on("dense"),
      keyword: on("keyword"),
      alpha: moved ? Number(alpha.value) : null,
      rerankers: $$("[name=rerankers]:checked", form).map((box) => box.value),
    });
  };

  // files

  const sendFiles = async (files) => {
    const form = $("#rk-composer form");
    if (!files.length || !$(".rk-files", form)) return;
    form.dataset.sending = "";
    const sent = [];
    for (const file of files) {
      try {
        const { path } = await channel.upload(file);
        sent.push({ sent: path, name: file.name });
      } catch (error) {
        toast(`${file.name}: was not sent; it may be too large, or the connection was lost.`, "error");
      }
    }
    if (sent.length) send("upload", { files: sent });
    else form.removeAttribute("data-sending");
  };

  const save = ({ name, mime, text }) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: `${mime};charset=utf-8` }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };

  // small things: toasts, dialogs, the theme

  const made = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const announcer = made("div", { id: "rk-announcer", className: "rk-unseen" });
  announcer.setAttribute("aria-live", "polite");
  announcer.setAttribute("role", "status");
  const toasts = made("div", { id: "rk-toasts" });
  toasts.setAttribute("role", "status");
  document.body.append(announcer, toasts);

  const toast = (text, kind) => {
    const element = made("p", { textContent: text, className: `rk-toast rk-toast-${kind === "error" ? "error" : "notice"}` });
    toasts.append(element);
    setTimeout(() => element.remove(), kind === "error" ? 8_000 : 3_000);
  };

  const dialog = (heading, content, action, danger, then) => {
    const confirm = made("button", { type: "submit", textContent: action, className: danger ? "rk-danger" : "rk-primary" });
    const cancel = made("button", { type: "button", textContent: "Cancel" });
    const title = made("h2", { textContent: heading, id: "rk-dialog-title" });
    const form = made("form", { method: "dialog" }, title, content, made("div", { className: "rk-buttons" }, cancel, confirm));
    const box = made("dialog", { className: "rk-dialog" }, form);
    box.setAttribute("aria-labelledby", "rk-dialog-title");
    cancel.onclick = () => box.close();
    form.onsubmit = () => then();
    box.onclose = () => box.remove();
    document.body.append(box);
    box.showModal();
    if (danger) cancel.focus();
  };

  const theme = (value) => {
    if (value) {
      try {
        localStorage.setItem("ragkit-theme", value);
      } catch {
        // a browser that keeps nothing follows the system again next time
      }
    }
    let kept = value;
    try {
      kept = localStorage.getItem("ragkit-theme");
    } catch {
      // as above
    }
    const dark = kept ? kept === "dark" : DARK.matches;
    root.dataset.theme = dark ? "dark" : "light";
    document.body.classList.toggle("dark", dark);
  };

  // what is clicked

  const number = (value) => Number.parseInt(value, 10) || 0;

  const free = (then) => (busy ? toast("Wait for the answer, or stop it first.", "error") : then());

  const acts = {
    new: () => free(() => (toggleSide(false), send("select", { conversation: "" }))),
    open: (button) => free(() => (toggleSide(false), send("select", { conversation: button.dataset.id }))),
    side: () => toggleSide(),
    theme: () => theme(root.dataset.theme === "dark" ? "light" : "dark"),
    tune: (button) => (document.body.dataset.panel === "tune" ? closePanel() : ((opened = button), showPanel("tune"))),
    close: () => closePanel(),
    stop: () => send("stop", { conversation: current() }),
    attach: () => $("#rk-composer .rk-files").click(),
    dismiss: (button) => (button.closest(".rk-uploads").hidden = true),
    example: (button) => ask(button.dataset.text),
    again: (button) => ask(button.dataset.text),
    cite: (button) => look(button, { n: number(button.dataset.n) }),
    hit: (button) => look(button, { rank: number(button.dataset.rank) }),
    copy: (button) => navigator.clipboard?.writeText(button.dataset.text).then(() => toast("Copied.", "notice")),
    export: (button) => send("download", { conversation: button.dataset.id, format: button.dataset.format }),
    rename: (button) => {
      const input = made("input", { value: button.dataset.title, maxLength: 80, required: true, autocomplete: "off" });
      input.setAttribute("aria-label", "Title");
      dialog("Rename the conversation", input, "Rename", false, () =>
        send("edit", { conversation: button.dataset.id, title: input.value }));
      input.select();
    },
    delete: (button) => free(() => {
      const text = made("p", { textContent: `“${button.dataset.title}” and all its answers will be gone for good.` });
      dialog("Delete this conversation?", text, "Delete", true, () => send("delete", { conversation: button.dataset.id }));
    }),
    rate: (button) => {
      const turn = button.closest(".rk-turn");
      const verdict = button.getAttribute("aria-pressed") === "true" ? 0 : number(button.dataset.verdict);
      for (const other of $$("[data-act=rate]", turn)) {
        other.setAttribute("aria-pressed", String(number(other.dataset.verdict) === verdict));
      }
      $(".rk-comment", turn).hidden = !verdict;
      send("like", { conversation: current(), turn: number(turn.dataset.turn), verdict: verdict || null, comment: $(".rk-comment input", turn).value });
    },
    reset: () => send("apply", { conversation: current() }),
  };

  const look = (button, wanted) => {
    if (!button.closest("#rk-panel")) opened = button;
    send("expand", { conversation: current(), turn: number(button.dataset.turn), ...wanted });
  };

  const submits = {
    ask: () => {
      const text = question().value;
      if (busy || !text.trim()) return ask(text);
      question().value = "";
      grow();
      ask(text);
    },
    comment: (form) => {
      const turn = form.closest(".rk-turn");
      const pressed = $("[data-act=rate][aria-pressed=true]", turn);
      send("like", {
        conversation: current(), turn: number(turn.dataset.turn),
        verdict: pressed ? number(pressed.dataset.verdict) : null, comment: form.elements.comment.value,
      });
    },
    settings: () => {},
  };

  const grow = () => {
    const field = question();
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight, innerHeight / 3)}px`;
  };

  document.addEventListener("click", (event) => {
    for (const menu of $$(".rk-menu[open]")) if (!menu.contains(event.target)) menu.open = false;
    const button = event.target.closest("[data-act]");
    if (button && button.tagName !== "FORM" && acts[button.dataset.act]) {
      button.closest(".rk-menu")?.removeAttribute("open");
      acts[button.dataset.act](button);
    }
  });
  document.addEventListener("submit", (event) => {
    const act = event.target.dataset.act;
    if (!submits[act]) return;
    event.preventDefault();
    submits[act](event.target);
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-act=settings]");
    if (form) settings(form, event.target);
    if (event.target.matches(".rk-files")) {
      sendFiles([...event.target.files]);
      event.target.value = "";
    }
  });
  document.addEventListener("input", (event) => {
    if (event.target === question()) grow();
    if (event.target.matches("#rk-tune [name=alpha]")) $("#rk-tune output").textContent = event.target.value;
  });

  document.addEventListener("keydown", (event) => {
    const writing = event.target.matches("input, textarea, select, [contenteditable]");
    if (event.target === question() && event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submits.ask();
    } else if ((event.key === "/" && !writing) || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      question()?.focus();
    } else if (event.key === "Escape" && !$("dialog[open]")) {
      const menu = $(".rk-menu[open]");
      if (menu) {
        menu.open = false;
        $("summary", menu).focus();
      } else if (document.body.hasAttribute("data-side")) toggleSide(false);
      else closePanel();
    }
  });

  let over = 0;
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const drag = (by) => {
    over = Math.max(0, over + by);
    document.body.toggleAttribute("data-drop", over > 0);
  };
  document.addEventListener("dragenter", (event) => carriesFiles(event) && drag(1));
  document.addEventListener("dragleave", (event) => carriesFiles(event) && drag(-1));
  document.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    drag(-over);
    sendFiles([...event.dataTransfer.files]);
  });

  DARK.addEventListener("change", () => theme());
  theme();

  // Gradio may put the parts up after this script ran
  const watch = () => {
    if (!scroller() || !question() || !$(".toast-wrap")) return void requestAnimationFrame(watch);
    new MutationObserver((changes) => {
      const added = changes.flatMap((change) => [...change.addedNodes]).find((node) => node.querySelector?.(".toast-body.error"));
      if (added) lost($("[data-testid=toast-text]", added)?.textContent);
    }).observe($(".toast-wrap"), { childList: true, subtree: true });
    scroller().addEventListener("scroll", () => {
      stick = scroller().scrollHeight - scroller().scrollTop - scroller().clientHeight < 80;
    }, { passive: true });
    new MutationObserver(() => {
      scrollDown();
      place();
    }).observe(scroller(), { childList: true, subtree: true, characterData: true });
    theme();
  };
  watch();
  if (ragkit.channel) ragkit.connect();
})();
