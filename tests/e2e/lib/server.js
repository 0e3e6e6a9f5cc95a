/** The real `rethread serve --dev`, which can be killed and comes back on the same port and data. */

import { join } from "node:path";

import { makeFolder, removeFolder } from "./folder.js";
import { Program, rethread } from "./programs.js";
import { until } from "./wait.js";

/**
 * Below the ports that the system hands out by itself, so that nothing takes a killed server's port
 * before it is back.
 */
const PORTS = { from: 16_000, to: 32_000 };
const PORTS_TRIED_MAX = 10;

/** A server with a data folder of its own. */
export class Server {
  port = 0;
  #args;
  #folder;
  /** @type {Program | undefined} */
  #program;
  /** Output of the processes before this one. */
  #before = "";
  #token;

  /**
   * @param {string[]} [args] further arguments for `serve`
   * @returns {Promise<Server>}
   */
  static async start(args = []) {
    const server = new Server(args, makeFolder());
    for (let tried = 0; tried < PORTS_TRIED_MAX; tried += 1) {
      server.port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
      if (await server.#launch()) return server;
    }
    const { log } = server;
    await server.close();
    throw new Error(`rethread did not come up:\n${log}`);
  }

  constructor(args, folder) {
    this.#args = args;
    this.#folder = folder;
  }

  /** Where it listens. */
  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What it wrote, all its lives together. */
  get log() {
    return this.#before + (this.#program?.output ?? "");
  }

  /** `kill -9`, and waits until it is dead. */
  async kill() {
    if (!this.#program) throw new Error("the server does not run");
    await this.#program.kill();
    this.#before += `${this.#program.output}\n-- killed --\n`;
    this.#program = undefined;
  }

  /** Starts it again, on the same port and data. */
  async restart() {
    if (this.#program) throw new Error("the server runs already");
    if (!(await this.#launch())) throw new Error(`rethread did not come back:\n${this.log}`);
  }

  /** A token for everything. Tokens survive restarts. */
  async token() {
    this.#token ??= (await answer(await fetch(`${this.url}/v1/dev/token`))).token;
    return this.#token;
  }

  /**
   * A request with the token; gives the JSON that comes back.
   *
   * @param {string} path
   * @param {object} [body] makes it a POST
   */
  async request(path, body) {
    return answer(await this.fetch(path, body));
  }

  /** As `request`, but gives the response as it is. */
  async fetch(path, body) {
    const headers = { authorization: `Bearer ${await this.token()}`, "content-type": "application/json" };
    const post = body && { method: "POST", body: JSON.stringify(body) };
    return fetch(this.url + path, { headers, signal: AbortSignal.timeout(10_000), ...post });
  }

  /** Makes a thread; gives its id. @returns {Promise<string>} */
  async thread(title) {
    return (await this.request("/v1/threads", { title })).thread;
  }

  /** Makes a run; gives its id. @returns {Promise<string>} */
  async run(thread) {
    return (await this.request(`/v1/threads/${thread}/runs`, {})).run;
  }

  /** Ends it, and removes its data. */
  async close() {
    if (this.#program) await this.kill();
    removeFolder(this.#folder);
  }

  /** True once it has said that it listens; false when it ended before. */
  async #launch() {
    const listen = ["--listen", `127.0.0.1:${this.port}`];
    const data = ["--data", join(this.#folder, "data")];
    const program = new Program(rethread(), ["serve", "--dev", ...listen, ...data, ...this.#args]);
    this.#program = program;
    const isUp = () => program.output.includes(`rethread listening on ${this.url}\n`);
    await until("the server to listen", () => isUp() || program.ended !== undefined);
    if (program.ended === undefined) return true;
    this.#before += program.output;
    this.#program = undefined;
    return false;
  }
}

async function answer(response) {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}
