/** One shard of an audit: where its standby is, and what its database says of itself before the rows are read. */
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { type ReplayWatch, StandbyError, watchReplay, withStandby } from "./standby-session.ts";
import {
  type LogEnd,
  readElections,
  readHomeDefinitions,
  readLogEnd,
  readSlots,
  type StoredDefinition,
  type StoredElection,
} from "./stored-shard.ts";

export type ShardTarget = {
  readonly shardId: number;
  /** Of the standby's database, for a role that reads everything. */
  readonly url: string;
};

export type ShardSketch = {
  readonly shardId: number;
  readonly end: LogEnd;
  readonly elections: readonly StoredElection[];
  readonly homeDefinitions: readonly StoredDefinition[];
  readonly ownSlots: Uint8Array;
};

/** How long a standby may take to replay what is known to be on its disk. */
const replayLimitMs = 20_000;
const replayPollMs = 50;

export function sketchShard({ shardId, url }: ShardTarget): Promise<ShardSketch> {
  return withStandby(url, async (client) => {
    const end = await readLogEnd(client);
    if (end.head !== undefined && end.head.shardId !== shardId) {
      throw new StandbyError(`the database that was named for shard ${shardId} is that of shard ${end.head.shardId}`);
    }
    return {
      shardId,
      end,
      elections: await readElections(client),
      homeDefinitions: await readHomeDefinitions(client),
      ownSlots: await readSlots(client),
    };
  });
}

/**
 * The end of the log, once the standby shows what is known outside: a batch and a number of leaves. When it has replayed all that
 * it had received, and shows less, then less is there. Throws StandbyError when it does not come so far in time.
 */
export async function awaitLogEnd(
  client: pg.Client,
  known: { readonly batch: number; readonly leaves: number },
  signal: AbortSignal,
): Promise<LogEnd> {
  const hasReplayed = await watchReplay(client);
  let untilMs = performance.now() + replayLimitMs;
  for (let seen = -1; ; ) {
    const isReplayed = await hasReplayed();
    const end = await readLogEnd(client);
    // While it comes closer it is given time: one that was just started may have much to replay.
    if (end.batch > seen) untilMs = performance.now() + replayLimitMs;
    seen = end.batch;
    if (end.batch >= known.batch && end.leaves >= known.leaves) return end;
    if (isReplayed === true) return end;
    if (performance.now() > untilMs) return endOfSilent(end, isReplayed);
    await delay(replayPollMs, undefined, { signal });
  }
}

/** A standby that receives nothing cannot tell what it lacks: what it shows is all there is. */
function endOfSilent(end: LogEnd, isReplayed: Awaited<ReturnType<ReplayWatch>>): LogEnd {
  if (isReplayed === undefined) return end;
  throw new StandbyError(
    `the standby has not replayed within ${replayLimitMs / 1_000} s what it has received: try again`,
  );
}
