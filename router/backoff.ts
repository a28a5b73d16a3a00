/** Pauses between tries to find a shard's writer: doubling, with jitter, so that routers do not come in step. */
const pauseMsMin = 20;
const pauseMsMax = 200;

export function backoffMs(tries: number, random = Math.random): number {
  const pause = Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(tries, 10));
  return pause * (0.5 + random() / 2);
}
