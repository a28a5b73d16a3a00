/** The rows of all shards against the ledger of acknowledgements (A1 to A4) and the slots (A7). */
import type { KeyObject } from "node:crypto";
import { nullifierOf, slotOfNullifier, unwrapElectionKey } from "#bench/checker-ballots.ts";
import type { Findings } from "#bench/checker-findings.ts";
import type { ShardState, StoredElection, StoredVote } from "#bench/checker-shard.ts";
import type { LedgerEntry, VoteLedger } from "#bench/vote-ledger.ts";
import { parseReceiptId } from "#proto/receipt-id.ts";

const slots = 16_384;

/** Which shard owns each slot. */
export function slotOwners(findings: Findings, shards: readonly ShardState[]): Map<number, ShardState> {
  const owners = new Map<number, ShardState>();
  for (const shard of shards) {
    for (const [first, last] of shard.slots) {
      for (let slot = first; slot <= last; slot++) {
        const other = owners.get(slot);
        findings.demand("A7", other === undefined, () => `slot ${slot}: ${shard.logOrigin} and ${other?.logOrigin}`);
        owners.set(slot, shard);
      }
    }
  }
  findings.demand("A7", owners.size === slots, () => `${slots - owners.size} slots have no owner`);
  return owners;
}

export function checkVotes(
  findings: Findings,
  shards: readonly ShardState[],
  ledger: VoteLedger,
  routerKey: Uint8Array,
): void {
  const owners = slotOwners(findings, shards);
  const byElection = Map.groupBy(ledger.entries, ({ vote }) => vote.electionId);
  for (const [electionId, entries] of byElection) {
    const rows = rowsByNullifier(findings, shards, electionId, owners);
    const election = electionOf(shards, electionId);
    if (election === undefined) {
      checkNothingAcknowledged(findings, electionId, entries);
      continue;
    }
    new ElectionCheck(findings, election, rows, routerKey).check(entries);
  }
  checkReceiptIds(findings, ledger);
}

type LocatedVote = StoredVote & { readonly shard: ShardState };

function electionOf(shards: readonly ShardState[], electionId: string): StoredElection | undefined {
  for (const shard of shards) {
    for (const election of shard.elections.values()) if (election.electionId === electionId) return election;
  }
  return undefined;
}

/** The one row of each voter: two are a finding, and so is one away from the owner of its slot. */
function rowsByNullifier(
  findings: Findings,
  shards: readonly ShardState[],
  electionId: string,
  owners: ReadonlyMap<number, ShardState>,
): Map<string, LocatedVote> {
  const rows = new Map<string, LocatedVote>();
  for (const shard of shards) {
    const numbers = [...shard.elections.values()]
      .filter((e) => e.electionId === electionId)
      .map(({ number }) => number);
    for (const vote of shard.votes) {
      if (!numbers.includes(vote.election)) continue;
      const name = () => `${electionId} ${shard.logOrigin} leaf ${vote.leafIndex}`;
      const other = rows.get(vote.nullifier);
      findings.demand("A2", other === undefined, () => `${name()}: its voter is at leaf ${other?.leafIndex} too`);
      const owner = owners.get(slotOfNullifier(vote.nullifier));
      findings.demand("A2", owner === shard, () => `${name()}: its slot belongs to ${owner?.logOrigin}`);
      rows.set(vote.nullifier, { ...vote, shard });
    }
  }
  return rows;
}

function checkNothingAcknowledged(findings: Findings, electionId: string, entries: readonly LedgerEntry[]): void {
  const lost = entries.filter(({ outcome }) => "receipt" in outcome).length;
  findings.demand("A1", lost === 0, () => `${electionId} is on no shard, and ${lost} of its votes were acknowledged`);
}

class ElectionCheck {
  readonly #findings: Findings;
  readonly #election: StoredElection;
  readonly #rows: ReadonlyMap<string, LocatedVote>;
  readonly #key: KeyObject;

  constructor(
    findings: Findings,
    election: StoredElection,
    rows: ReadonlyMap<string, LocatedVote>,
    routerKey: Uint8Array,
  ) {
    this.#findings = findings;
    this.#election = election;
    this.#rows = rows;
    this.#key = unwrapElectionKey(routerKey, election.electionId, election.wrappedKey);
  }

  check(entries: readonly LedgerEntry[]): void {
    const explained = new Set<string>();
    for (const [voterId, told] of Map.groupBy(entries, ({ vote }) => vote.voterId)) {
      const nullifier = nullifierOf(this.#key, voterId);
      const row = this.#rows.get(nullifier);
      explained.add(nullifier);
      this.#checkOneReceipt(voterId, told);
      for (const entry of told) this.#checkAcknowledged(voterId, entry, row);
      if (row !== undefined) this.#checkSent(voterId, told, row);
    }
    for (const [nullifier, { shard, leafIndex }] of this.#rows) {
      if (!explained.has(nullifier)) this.#findings.add("A3", `${shard.logOrigin} leaf ${leafIndex}: nobody sent it`);
    }
  }

  #checkOneReceipt(voterId: string, told: readonly LedgerEntry[]): void {
    const receipts = told.flatMap(({ outcome }) => ("receipt" in outcome ? [outcome.receipt] : []));
    const names = new Set(receipts.map((r) => `${r.receiptId} ${r.logOrigin} ${r.leafIndex}`));
    this.#findings.demand("A4", names.size <= 1, () => `${voterId} was given ${[...names].join(" and ")}`);
  }

  #checkAcknowledged(voterId: string, { vote, outcome }: LedgerEntry, row: LocatedVote | undefined): void {
    if (!("receipt" in outcome)) return;
    const { logOrigin, leafIndex } = outcome.receipt;
    const name = `${voterId}, acknowledged at ${logOrigin} leaf ${leafIndex}`;
    if (row === undefined) {
      this.#findings.add("A1", `${name}: there is no row`);
      return;
    }
    const demand = (holds: boolean, what: string) => this.#findings.demand("A1", holds, () => `${name}: ${what}`);
    demand(row.shard.logOrigin === logOrigin && row.leafIndex === leafIndex, `its row is at leaf ${row.leafIndex}`);
    demand(this.#isChoice(vote, row), "its row holds another choice or key");
  }

  /** The row must be a vote that was sent, and not one that was refused each time. */
  #checkSent(voterId: string, told: readonly LedgerEntry[], row: LocatedVote): void {
    const same = told.filter(({ vote }) => this.#isChoice(vote, row));
    const name = () => `${voterId}, ${row.shard.logOrigin} leaf ${row.leafIndex}`;
    this.#findings.demand("A3", same.length > 0, () => `${name()}: its choice was never sent`);
    const refusals = same.flatMap(({ outcome }) => (outcome.kind === "refused" ? [outcome.reason] : []));
    const refused = same.length > 0 && refusals.length === same.length;
    this.#findings.demand("A3", !refused, () => `${name()}: stored although refused as ${refusals.join(", ")}`);
  }

  #isChoice(vote: LedgerEntry["vote"], row: StoredVote): boolean {
    const choice = this.#election.reading.stored(vote);
    if (choice === undefined) return false;
    return choice.region === row.region && choice.ballot === row.ballot && choice.keyHash === row.keyHash;
  }
}

/** A receipt id names its log and leaf, and no two voters have the same one. */
function checkReceiptIds(findings: Findings, ledger: VoteLedger): void {
  const holders = new Map<string, string>();
  for (const { vote, outcome } of ledger.entries) {
    if (!("receipt" in outcome)) continue;
    const { receiptId, logOrigin, leafIndex } = outcome.receipt;
    const position = parseReceiptId(receiptId);
    const fits = position?.leafIndex === BigInt(leafIndex) && logOrigin.endsWith(`/shard/${position.shardId}`);
    findings.demand("A4", fits, () => `receipt ${receiptId} does not name ${logOrigin} leaf ${leafIndex}`);
    const voter = `${vote.electionId} ${vote.voterId}`;
    const holder = holders.get(receiptId) ?? voter;
    findings.demand("A4", holder === voter, () => `receipt ${receiptId} was given to ${holder} and ${voter}`);
    holders.set(receiptId, voter);
  }
}
