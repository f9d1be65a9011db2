// Has the browser make or use a passkey when a form is sent, and sends what came of it in the form.
//
// data-passkey          "create" or "get"
// data-passkey-options  what the server asks for, as JSON; asked for again at each click
// data-passkey-fault    a sentence, shown when this is what went wrong
// data-passkey-off      shown where this module does not run
// data-passkey-signal   method of PublicKeyCredential that tells the browser which passkeys there are, or whose
// data-passkey-subject  what that takes, as JSON
//
// Bytes are turned into text and back by hand: toJSON and parse…OptionsFromJSON are missing in some
// browsers, and throw for what some password managers return.

const SOONEST_MILLISECONDS = 300; // nobody reads and cancels a dialog faster
const FAULTS = {
  AbortError: "cancelled",
  ConstraintError: "unfit",
  InvalidStateError: "known",
  NotSupportedError: "unfit",
  OperationError: "pending",
  SecurityError: "address",
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  let sending = false;
  form.querySelector("[data-passkey-off]").hidden = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending || !form.reportValidity()) return;
    sending = true;
    show(form, null);
    const fault = await fill(form);
    show(form, fault);
    if (fault) sending = false;
    else form.submit();
  });
  addEventListener("pageshow", () => { sending = false; }); // back, from the browser's memory
}

for (const { dataset } of document.querySelectorAll("[data-passkey-signal]")) {
  window.PublicKeyCredential?.[dataset.passkeySignal]?.(JSON.parse(dataset.passkeySubject))
    .catch((error) => console.info(error)); // the browser then shows what it showed before
}

function show(form, fault) {
  for (const sentence of form.querySelectorAll("[data-passkey-fault]")) {
    sentence.hidden = sentence.dataset.passkeyFault !== fault;
  }
}

async function fill(form) {
  const kind = form.dataset.passkey;
  if (!window.isSecureContext) return "insecure";
  if (!window.PublicKeyCredential || !navigator.credentials?.[kind]) return "unsupported";
  const page = await load(form.action);
  if (!page) return "unanswered";
  const fresh = page.querySelector(`form[data-passkey="${kind}"]`);
  if (!fresh) return leave(form.action);
  const options = JSON.parse(fresh.dataset.passkeyOptions);
  const began = performance.now();
  try {
    const credential = await navigator.credentials[kind]({ publicKey: decoded(options) });
    form.querySelector("[name=credential]").value = JSON.stringify(encoded(credential));
    return null;
  } catch (error) {
    return faultOf(error, kind, performance.now() - began, options.timeout);
  }
}

// The log-in or its wait has ended meanwhile: the page says so.
function leave(address) {
  location.assign(address);
  return new Promise(() => {});
}

function load(address) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    // Parsed by the browser as an inert document, so that no string is ever made into HTML here.
    request.responseType = "document";
    request.addEventListener("loadend", () => resolve(request.response));
    request.send();
  });
}

// Cancelled, too late and not allowed have one name, so that pages can't find out who has passkeys.
function faultOf(error, kind, milliseconds, timeout) {
  if (error.name === "NotAllowedError") {
    if (milliseconds >= timeout) return "late";
    return milliseconds < SOONEST_MILLISECONDS ? "denied" : "cancelled";
  }
  if (error.name === "InvalidStateError" && kind !== "create") return "unreadable";
  return FAULTS[error.name] ?? "unreadable";
}

function decoded(options) {
  const named = (listed) => listed?.map((each) => ({ ...each, id: bytesOf(each.id) }));
  return {
    ...options,
    challenge: bytesOf(options.challenge),
    ...(options.user && { user: { ...options.user, id: bytesOf(options.user.id) } }),
    ...(options.allowCredentials && { allowCredentials: named(options.allowCredentials) }),
    ...(options.excludeCredentials && { excludeCredentials: named(options.excludeCredentials) }),
  };
}

function encoded(credential) {
  const id = textOf(credential.rawId);
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = textOf(credential.response[name]);
  }
  return { id, rawId: id, type: "public-key", response };
}

function bytesOf(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
}

function textOf(bytes) {
  const binary = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
