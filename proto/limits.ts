/**
 * Numbers that two programs must agree on. What only one process needs lives in that service's `config`.
 * Relations between them are asserted when the file is loaded.
 */

/** Votes in one `CastVoteBatch`. */
export const batchRequestVotesMax = 1_000;

/** Bytes of one request message; beyond it a caller gets INVALID_REQUEST. */
export const requestBytesMax = 4 * 1024 * 1024;

/** Bytes that a transport reads before it gives up without a typed answer being possible. */
export const transportBytesMax = 32 * 1024 * 1024;

/** Bytes of a voter ID or ballot ID. */
export const voterIdBytesMax = 128;

/** Bytes of an idempotency key. */
export const idempotencyKeyBytesMin = 16;
export const idempotencyKeyBytesMax = 32;

/** Bytes of a nullifier and of a key hash. */
export const nullifierBytes = 16;
export const keyHashBytes = 16;

/** Hash slots over all shards. */
export const slotCount = 16_384;
export const slotBits = 14;

/** Shape of an election. */
export const contestsMax = 64;
export const optionsPerContestMax = 256;
export const regionsMax = 20_000;
export const regionDepthMax = 8;
/** Bytes of a serialised definition. */
export const definitionBytesMax = 2 * 1024 * 1024;

/** Votes in one frame between router and shard. */
export const frameVotesMax = 4_096;

/** How long before the caller's deadline a router answers: a tenth of it, and at least this. */
export const answerMarginMsMin = 20;
const answerMarginShare = 0.1;

/** Of the milliseconds that a caller has left, those that are kept for the answer's way back. */
export function answerMarginMs(leftMs: number): number {
  return Math.max(answerMarginMsMin, leftMs * answerMarginShare);
}

/** What a service keeps of the time it has left when it asks another one: the answer must still be worth something here. */
export const hopMarginMs = 5;

/** The deadline of a call that names none, and the longest that is honoured. */
export const deadlineDefaultMs = 10_000;
export const deadlineMsMax = 60_000;

/** What one auditor may report to be wrong: findings, and characters in each. */
export const auditFindingsMax = 100;
export const auditFindingLengthMax = 500;

/** The longest that a reader waits between two messages of a live shard. */
export const pulseMs = 1_000;

if (2 ** slotBits !== slotCount) throw new Error("limits: slotCount is not 2 ** slotBits");
if (definitionBytesMax >= requestBytesMax) throw new Error("limits: a definition must fit in a request");
if (requestBytesMax >= transportBytesMax) throw new Error("limits: requestBytesMax must be below transportBytesMax");
if (frameVotesMax < batchRequestVotesMax) throw new Error("limits: a frame must hold one batch request");
if (hopMarginMs >= answerMarginMsMin) throw new Error("limits: a call within the mesh is given no time");
if (answerMarginMsMin >= deadlineDefaultMs) throw new Error("limits: the margin eats the deadline");
