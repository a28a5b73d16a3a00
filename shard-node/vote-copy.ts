/**
 * The new votes of an election as rows of a binary COPY. Measured against INSERT … SELECT unnest of binary arrays, in the
 * replay: half the WAL, and a third less CPU of both servers (ARCHITECTURE, Decisions). No ON CONFLICT: a unique violation
 * means a second writer (I2).
 *
 * Layout: signature, flags and extension length; a row is int16 fields, then int32 length and bytes of each; int16 -1 ends
 * (documentation of COPY, "Binary Format").
 */
import type pg from "pg";
import { keyHashBytes, nullifierBytes } from "#proto/limits.ts";
import type { NewVotes } from "./batch.ts";
import { copyHeadBytes, copyIn, copyTailBytes } from "./copy-in.ts";
import type { WaitingVote } from "./vote-frame.ts";

const signature = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
const trailerBytes = 2;
const columns = "nullifier, key_hash, leaf_index, batch_number, election_number, region, ballot";
const fields = 7;
/** Of a row without its ballot. */
const rowBytes = 2 + fields * 4 + nullifierBytes + keyHashBytes + 2 * 8 + 2 * 4;

/** Pipelined: resolves when the server has taken all rows; the caller's COMMIT says whether they are stored. */
export function copyVotes(client: pg.Client, newVotes: NewVotes, batchNumber: number): Promise<void> {
  const { number } = newVotes.election;
  const statement = `COPY urna.votes_${number} (${columns}) FROM STDIN (FORMAT binary)`;
  return copyIn(client, statement, voteRows(newVotes, batchNumber));
}

function voteRows({ election, votes, firstLeaf }: NewVotes, batchNumber: number): Buffer {
  let bytes = copyHeadBytes + signature.length + trailerBytes + copyTailBytes + votes.length * rowBytes;
  for (const vote of votes) bytes += vote.ballotLength;
  const buffer = Buffer.allocUnsafe(bytes);
  let at = copyHeadBytes + signature.copy(buffer, copyHeadBytes);
  for (let i = 0; i < votes.length; i++) {
    const vote = votes[i] as WaitingVote;
    const { frame, index } = vote;
    at = buffer.writeInt16BE(fields, at);
    at = writeField(buffer, at, frame.nullifiers, index * nullifierBytes, (index + 1) * nullifierBytes);
    at = writeField(buffer, at, frame.keyHashes, index * keyHashBytes, (index + 1) * keyHashBytes);
    at = writeInt8(buffer, at, firstLeaf + i);
    at = writeInt8(buffer, at, batchNumber);
    at = writeInt4(buffer, at, election.number);
    at = writeInt4(buffer, at, vote.region);
    at = writeField(buffer, at, frame.ballots, vote.ballotStart, vote.ballotEnd);
  }
  buffer.writeInt16BE(-1, at);
  return buffer;
}

function writeField(buffer: Buffer, at: number, source: Buffer, start: number, end: number): number {
  let next = buffer.writeInt32BE(end - start, at);
  // A loop is faster than a call of copy for so few bytes.
  for (let i = start; i < end; i++) buffer[next++] = source[i] as number;
  return next;
}

function writeInt4(buffer: Buffer, at: number, value: number): number {
  return buffer.writeInt32BE(value, buffer.writeInt32BE(4, at));
}

/** Whole numbers up to 2 ** 53. */
function writeInt8(buffer: Buffer, at: number, value: number): number {
  const high = buffer.writeInt32BE(8, at);
  return buffer.writeUInt32BE(value % 2 ** 32, buffer.writeInt32BE(Math.floor(value / 2 ** 32), high));
}
