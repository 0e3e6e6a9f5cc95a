import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const BINARY = process.env.RETHREAD_BIN;

/** A real server with its own data. It can be killed and started again at the same address. */
export class Server {
  #data = mkdtempSync(join(tmpdir(), "rethread-data-"));
  #process;
  #words;
  #token;
  url;

  /** @param words further arguments of `rethread serve`, such as `["--heartbeat", "1s"]`. */
  static async start(words = []) {
    if (!BINARY) throw new Error("RETHREAD_BIN must be the path of the rethread binary");
    const server = new Server();
    server.#words = words;
    await server.#launch("127.0.0.1:0");
    return server;
  }

  /** `kill -9`, and the same again; with other arguments where they are given. */
  async crash(words = this.#words) {
    await this.kill();
    await this.rise(words);
  }

  /** `kill -9`; `rise` starts it again. */
  async kill() {
    await this.#end("SIGKILL");
  }

  async rise(words = this.#words) {
    this.#words = words;
    await this.#launch(new URL(this.url).host);
  }

  /** Ends it as an operator does, and starts it again. */
  async restart(words = this.#words) {
    await this.#end("SIGTERM");
    await this.rise(words);
  }

  /** Kills it, and starts it with nothing of what it had: its threads are other incarnations now. */
  async wipe() {
    await this.kill();
    for (const name of readdirSync(this.#data)) {
      // The tokens that are out stay good.
      if (name !== "dev-secret") rmSync(join(this.#data, name), { recursive: true });
    }
    await this.rise();
  }

  async stop() {
    await this.#end("SIGTERM");
    rmSync(this.#data, { recursive: true, force: true });
  }

  /** A token for everything. It is good for longer than any test takes. */
  async token() {
    this.#token ??= (await this.#ask("GET", "/v1/dev/token")).token;
    return this.#token;
  }

  /** A token as `token`, for so many seconds only. */
  async tokenFor(seconds) {
    const [head, body] = (await this.token()).split(".");
    const claims = JSON.parse(Buffer.from(body, "base64url"));
    const now = Math.floor(Date.now() / 1000);
    const text = JSON.stringify({ ...claims, iat: now, exp: now + seconds });
    const signed = `${head}.${Buffer.from(text).toString("base64url")}`;
    const secret = readFileSync(join(this.#data, "dev-secret"), "utf8").trim();
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  }

  /** A new thread with a run in it. */
  async thread() {
    const { thread } = await this.post("/v1/threads", {});
    const { run } = await this.post(`/v1/threads/${thread}/runs`, {});
    return { thread, run };
  }

  /** Publishes one event and gives its seq. */
  async publish(run, type, data) {
    const { results } = await this.post("/v1/events", { id: crypto.randomUUID(), run, type, data });
    return results[0].seq;
  }

  async post(path, body) {
    return this.#ask("POST", path, body, { authorization: `Bearer ${await this.token()}` });
  }

  async get(path) {
    return this.#ask("GET", path, undefined, { authorization: `Bearer ${await this.token()}` });
  }

  async #ask(method, path, body, headers = {}) {
    const answer = await fetch(this.url + path, {
      method,
      headers: { "content-type": "application/json", ...headers },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  async #launch(listen) {
    const words = ["serve", "--dev", "--listen", listen, "--data", this.#data, ...this.#words];
    this.#process = spawn(BINARY, words, { stdio: ["ignore", "pipe", "inherit"] });
    for await (const line of createInterface({ input: this.#process.stdout })) {
      const found = line.match(/listening on (\S+)/);
      if (!found) continue;
      this.url = found[1];
      return;
    }
    throw new Error("the server ended before it listened");
  }

  async #end(signal) {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill(signal);
    await ended;
  }
}
