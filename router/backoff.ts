/** Pauses between tries to find a shard's writer: doubling, with jitter, so that routers do not come in step. */
const pauseMsMin = 20;
const pauseMsMax = 200;

/** From so many tries on all pauses are equally long, but for chance. */
export const longestFrom = Math.ceil(Math.log2(pauseMsMax / pauseMsMin));

export function backoffMs(tries: number, random = Math.random): number {
  const pause = Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(tries, longestFrom));
  return pause * (0.5 + random() / 2);
}
