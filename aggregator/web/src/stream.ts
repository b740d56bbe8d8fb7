// One server-sent event stream, kept open for as long as a view needs it.
//
// fetch() instead of EventSource: it tells the status and the text of a refusal, and it sees the
// keepalive comments, without which a half-open connection looks like a quiet one.

import { createParser } from "eventsource-parser";
import { Backoff } from "./backoff";

/** No answer to the request after this long: try again. */
const ANSWER_MS = 15_000;
/** Three keepalives missed: the connection is dead whatever the browser thinks. */
const SILENCE_MS = 45_000;
/** A stream that lived this long was a good one, and its end starts the backoff over. */
const GOOD_LIFE_MS = 10_000;
/** One event is at most this many characters: 5,000 nodes with a full window stay below. */
const MAX_EVENT_CHARS = 128 * 1024 * 1024;
/** As much of a refusal's text as is shown. */
const MAX_REASON_CHARS = 200;

export type Connection =
  | { phase: "connecting" }
  | { phase: "live" }
  | { phase: "waiting"; untilMs: number; reason: string };

export interface StreamHandlers {
  /** An event with its name and data. What it throws ends the stream, with the message as reason. */
  event(name: string, data: string): void;
  connection(state: Connection): void;
}

export class Stream {
  private readonly stopped = new AbortController();
  private readonly backoff: Backoff;
  private wake: (() => void) | null = null;

  constructor(
    private readonly url: string,
    private readonly handlers: StreamHandlers,
    backoff: Backoff = new Backoff(),
  ) {
    this.backoff = backoff;
  }

  /** Connects, and connects again after each end, until `stop`. */
  async run(): Promise<void> {
    while (!this.stopped.signal.aborted) {
      this.handlers.connection({ phase: "connecting" });
      const started = Date.now();
      const reason = await this.once();
      if (this.stopped.signal.aborted) return;
      if (Date.now() - started >= GOOD_LIFE_MS) this.backoff.reset();
      const wait = this.backoff.next();
      this.handlers.connection({ phase: "waiting", untilMs: Date.now() + wait, reason });
      await this.sleep(wait);
    }
  }

  stop(): void {
    this.stopped.abort();
    this.wake?.();
  }

  /** Ends a wait between two attempts now: somebody came back to the page. */
  hurry(): void {
    this.wake?.();
  }

  private sleep(ms: number): Promise<void> {
    return new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    }).then(() => {
      this.wake = null;
    });
  }

  /** One connection from request to end; gives the reason of the end and never throws. */
  private async once(): Promise<string> {
    const attempt = new AbortController();
    const end = () => attempt.abort();
    this.stopped.signal.addEventListener("abort", end);
    let silent = "";
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = (ms: number, reason: string) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        silent = reason;
        attempt.abort();
      }, ms);
    };
    try {
      deadline(ANSWER_MS, "the aggregator did not answer");
      const response = await fetch(this.url, {
        headers: { accept: "text/event-stream" },
        cache: "no-store",
        signal: attempt.signal,
      });
      if (!response.ok) return await refusal(response);
      if (!response.body) return "the aggregator answered without a body";
      await this.read(response.body, () => deadline(SILENCE_MS, "the aggregator fell silent"));
      return "the aggregator closed the stream";
    } catch (error) {
      if (silent !== "") return silent;
      // What the browser says about an unreachable host differs from browser to browser.
      return error instanceof TypeError ? "the aggregator cannot be reached" : String(error);
    } finally {
      clearTimeout(timer);
      this.stopped.signal.removeEventListener("abort", end);
      attempt.abort();
    }
  }

  private async read(body: ReadableStream<Uint8Array>, heard: () => void): Promise<void> {
    let failure: unknown = null;
    const parser = createParser({
      maxBufferSize: MAX_EVENT_CHARS,
      onEvent: (event) => {
        if (failure !== null) return;
        try {
          this.handlers.event(event.event ?? "message", event.data);
          this.handlers.connection({ phase: "live" });
        } catch (error) {
          failure = error;
        }
      },
      onRetry: (ms) => this.backoff.hint(ms),
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") failure = error;
      },
    });
    const reader = body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      heard();
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      if (failure !== null) throw failure;
    }
  }
}

async function refusal(response: Response): Promise<string> {
  const text = (await response.text()).trim().slice(0, MAX_REASON_CHARS);
  return `the aggregator answered ${response.status}${text === "" ? "" : `: ${text}`}`;
}
