import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Backoff, LONGEST_MS } from "./backoff";
import { Stream } from "./stream";
import type { Connection } from "./stream";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A stream over answers that the test gives; `feed` writes into the newest one's body. */
function setup(answers: (Response | Error)[]) {
  const states: Connection[] = [];
  const events: [string, string][] = [];
  const asked: AbortSignal[] = [];
  vi.stubGlobal("fetch", (_url: string, init: RequestInit) => {
    asked.push(init.signal as AbortSignal);
    const answer = answers.shift() ?? new Error("no answer left");
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  });
  const stream = new Stream(
    "http://localhost/stream",
    {
      event: (name, data) => {
        if (data === "bad") throw new Error("ticks do not ascend");
        events.push([name, data]);
      },
      connection: (state) => states.push(state),
    },
    new Backoff(() => 1),
  );
  void stream.run();
  return { stream, states, events, asked, last: () => states[states.length - 1] };
}

function open() {
  let control: ReadableStreamDefaultController<Uint8Array> | undefined;
  const body = new ReadableStream<Uint8Array>({ start: (c) => (control = c) });
  const text = new TextEncoder();
  const feed = async (chunk: string) => {
    control?.enqueue(text.encode(chunk));
    await vi.advanceTimersByTimeAsync(0);
  };
  return { response: new Response(body), feed, close: () => control?.close() };
}

test("the wait doubles, is jittered and ends at the longest", () => {
  const low = new Backoff(() => 0);
  const high = new Backoff(() => 1);
  expect([low.next(), low.next(), low.next()]).toEqual([250, 500, 1000]);
  expect([high.next(), high.next(), high.next()]).toEqual([500, 1000, 2000]);
  for (let i = 0; i < 100; i++) expect(high.next()).toBeLessThanOrEqual(LONGEST_MS);
  expect(high.next()).toBe(LONGEST_MS);
  high.reset();
  expect(high.next()).toBe(500);
  high.reset();
  high.hint(3000);
  expect(high.next()).toBe(3000);
});

test("events arrive in order, whatever the chunks are", async () => {
  const { response, feed } = open();
  const s = setup([response]);
  await feed("retry: 1000\n\nevent: win");
  expect(s.last()).toEqual({ phase: "connecting" });
  await feed("dow\ndata: {1}\n\n: keepalive\n\nevent: tick\ndata: {2}\n\n");
  expect(s.events).toEqual([
    ["window", "{1}"],
    ["tick", "{2}"],
  ]);
  expect(s.last()).toEqual({ phase: "live" });
  s.stream.stop();
});

test("a refusal is shown with its status and text, and tried again", async () => {
  const { response, feed } = open();
  const s = setup([new Response("name the HTTPS listener", { status: 403 }), response]);
  await vi.advanceTimersByTimeAsync(0);
  expect(s.last()).toMatchObject({
    phase: "waiting",
    reason: "the aggregator answered 403: name the HTTPS listener",
  });
  await vi.advanceTimersByTimeAsync(500);
  await feed("event: window\ndata: x\n\n");
  expect(s.last()).toEqual({ phase: "live" });
  s.stream.stop();
});

test("an unreachable aggregator is waited for longer and longer", async () => {
  const s = setup([new TypeError("a"), new TypeError("b"), new TypeError("c")]);
  await vi.advanceTimersByTimeAsync(0);
  const waits = () => s.states.flatMap((x) => (x.phase === "waiting" ? [x.untilMs - Date.now()] : []));
  expect(s.last()).toMatchObject({ reason: "the aggregator cannot be reached" });
  expect(waits()).toEqual([500]);
  await vi.advanceTimersByTimeAsync(500);
  expect(waits()[1]).toBe(1000);
  s.stream.hurry();
  await vi.advanceTimersByTimeAsync(0);
  expect(s.asked.length).toBe(3);
  s.stream.stop();
});

test("keepalives hold a stream open, silence ends it", async () => {
  const { response, feed } = open();
  const s = setup([response]);
  await feed("event: window\ndata: x\n\n");
  for (let i = 0; i < 10; i++) {
    await vi.advanceTimersByTimeAsync(15_000);
    await feed(": keepalive\n\n");
  }
  expect(s.last()).toEqual({ phase: "live" });
  expect(s.asked[0]?.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(44_000);
  expect(s.asked[0]?.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1000);
  expect(s.asked[0]?.aborted).toBe(true);
  s.stream.stop();
});

test("an event that cannot be read ends the stream and says why", async () => {
  const { response, feed } = open();
  const s = setup([response]);
  await feed("event: window\ndata: bad\n\n");
  expect(s.last()).toMatchObject({ phase: "waiting", reason: expect.stringContaining("do not ascend") });
  s.stream.stop();
});

test("only a stream that lived for a while starts the backoff over", async () => {
  const [short, long] = [open(), open()];
  const s = setup([short.response, long.response]);
  const wait = () => {
    const state = s.last();
    return state?.phase === "waiting" ? state.untilMs - Date.now() : null;
  };
  await short.feed("event: window\ndata: x\n\n");
  short.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(wait()).toBe(500);
  await vi.advanceTimersByTimeAsync(500);
  await long.feed("event: window\ndata: x\n\n");
  await vi.advanceTimersByTimeAsync(10_000);
  long.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(wait()).toBe(500);
  s.stream.stop();
});

test("a stopped stream ends its request and asks no more", async () => {
  const { response } = open();
  const s = setup([response]);
  await vi.advanceTimersByTimeAsync(0);
  s.stream.stop();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(s.asked.length).toBe(1);
  expect(s.asked[0]?.aborted).toBe(true);
});
