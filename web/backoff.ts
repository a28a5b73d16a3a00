/** How long to wait before something is tried again: doubling, capped, and spread so that readers do not come at once. */
export const backoffFirstMs = 500;
export const backoffMaxMs = 10_000;

/** `attempt` counts failures since the last success, from 1; `random` is in [0, 1). */
export function backoffMs(attempt: number, random: number): number {
  const ceilingMs = Math.min(backoffMaxMs, backoffFirstMs * 2 ** Math.max(0, attempt - 1));
  return Math.round(ceilingMs * (0.5 + random / 2));
}

/** Resolves after the time, or when the signal is aborted. */
export function waitMs(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener("abort", done);
  });
}
