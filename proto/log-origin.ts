/**
 * The name of a shard's log, as receipts and checkpoints bear it: "<deployment>/shard/<id>". A log that went on after a loss
 * was accepted is another one, "<deployment>/shard/<id>/<generation>": under the old name there would be two trees of one size.
 */

export type LogOrigin = {
  readonly deployment: string;
  readonly shardId: number;
  /** From 1 on; the first is not in the name. */
  readonly generation: number;
};

export function formatLogOrigin({ deployment, shardId, generation }: LogOrigin): string {
  const first = `${deployment}/shard/${shardId}`;
  return generation === 1 ? first : `${first}/${generation}`;
}

/** Undefined when the text is no log's name. */
export function parseLogOrigin(text: string): LogOrigin | undefined {
  const parts = /^(.+)\/shard\/(0|[1-9]\d{0,4})(?:\/([1-9]\d{0,8}))?$/.exec(text);
  if (parts === null) return undefined;
  const generation = parts[3] === undefined ? 1 : Number(parts[3]);
  if (parts[3] === "1") return undefined;
  return { deployment: parts[1] ?? "", shardId: Number(parts[2]), generation };
}
