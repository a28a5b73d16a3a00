/** Waiting for something that cannot be listened to. */
import { setTimeout as sleep } from "node:timers/promises";

export class WaitTimeoutError extends Error {}

/** Asks until the answer is not undefined. Throws WaitTimeoutError, with what was waited for, after the limit. */
export async function waitFor<T>(
  what: string,
  limitMs: number,
  ask: () => Promise<T | undefined> | T | undefined,
  everyMs = 20,
): Promise<T> {
  const until = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() >= until) throw new WaitTimeoutError(`${what}: not within ${limitMs / 1000} s`);
    await sleep(everyMs);
  }
}
