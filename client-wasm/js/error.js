// What the driver does not say itself, for words are cheaper here.
const MESSAGES = {
  bad_id: "this is no id",
  closed: "the connection was closed; what was not answered may have been done",
  closed_by_server: "the server does not understand this client",
  outbox_full: "too many messages wait for the server",
  unauthorized: "the token was refused, and there is no other",
};

/** Every error that this package throws or rejects with; see index.d.ts. */
export class RethreadError extends Error {
  constructor(code, message, details = {}) {
    // Of these it takes the `cause`, where there is one.
    super(message, details);
    this.code = code;
    for (const name of ["expected", "received", "tried", "retryAfterMs"]) {
      if (details[name] !== undefined) this[name] = details[name];
    }
  }
}
Object.defineProperty(RethreadError.prototype, "name", { value: "RethreadError" });

/** The error that the driver gave: a plain object with the members of a server's error. */
export function fromWire(error) {
  if (typeof error?.code !== "string") return error;
  const { code, message, retry_after_ms: retryAfterMs, ...details } = error;
  return new RethreadError(code, message || MESSAGES[code], { ...details, retryAfterMs });
}

/** Calls into the driver. */
export function call(work) {
  try {
    return work();
  } catch (error) {
    throw fromWire(error);
  }
}

/** For the console. Written so that the package's build tells it from the warnings of what is generated. */
export function warn(about) {
  globalThis.console.warn("Rethread:", about);
}

/** Calls the application. What it throws must not stop what others are told. */
export function tell(handler, what, about) {
  try {
    handler(what, about);
  } catch (error) {
    if (typeof reportError === "function") reportError(error);
    else console.error(error);
  }
}
