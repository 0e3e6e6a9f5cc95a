/** A thread, as `GET /v1/threads` lists it. */
export interface ThreadEntry {
  readonly thread: string;
  /** The seq of its last event; 0 where there is none. */
  readonly head: number;
  /** Milliseconds since 1970. */
  readonly created_at: number;
  readonly title?: string | null;
}

/** What the server refused, with its stable code. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** An answer that takes longer is none: a stalled network must not hold up the next try. */
const ANSWER_WAIT_MS = 8_000;

/** Brings the token that requests are made with; a new one when the last was refused. */
export type TokenSource = (wish?: { refused: boolean }) => Promise<string>;

/** The server's threads over HTTP. Their events come through `@rethread/client` alone. */
export class Api {
  constructor(private readonly token: TokenSource) {}

  /** The threads that the token may use, newest activity first. */
  async threads(): Promise<ThreadEntry[]> {
    const answer = await this.request<{ threads: ThreadEntry[] }>("GET");
    return answer.threads;
  }

  /** Makes a thread. The server gives it its first message as its title. */
  create(): Promise<ThreadEntry> {
    return this.request<ThreadEntry>("POST", {});
  }

  private async request<T>(method: "GET" | "POST", body?: object): Promise<T> {
    const headers: Record<string, string> = { authorization: `Bearer ${await this.token()}` };
    if (body) headers["content-type"] = "application/json";
    const answer = await fetch("/v1/threads", {
      method, headers, body: body ? JSON.stringify(body) : null, ...patience(),
    });
    if (!answer.ok) throw await refusal(answer);
    return (await answer.json()) as T;
  }
}

/** The token of a server in dev mode; `undefined` where the server is in none. */
export async function devToken(): Promise<string | undefined> {
  const answer = await fetch("/v1/dev/token", patience());
  if (answer.status === 404) return undefined;
  if (!answer.ok) throw await refusal(answer);
  return ((await answer.json()) as { token: string }).token;
}

function patience(): RequestInit {
  return { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WAIT_MS) };
}

async function refusal(answer: Response): Promise<ApiError> {
  const body: unknown = await answer.json().catch(() => undefined);
  const error = (body as { error?: { code?: string; message?: string } } | undefined)?.error;
  return new ApiError(
    answer.status,
    error?.code ?? "internal",
    error?.message ?? `the server answered ${answer.status}`,
  );
}
