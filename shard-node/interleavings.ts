/**
 * Random interleavings of votes, repeats, conflicts and faults on a real shard, against a model that fits in one sentence:
 * the first vote of a voter that is recorded stands, for ever, with its leaf and batch (I2, I3).
 */
import fc from "fast-check";
import { expect } from "vitest";
import type { Answer } from "#bench/rig-cast.ts";
import { choosing, type RigElection, withoutKey } from "#bench/rig-election.ts";
import type { ShardRig } from "#bench/shard-rig.ts";
import type { SentVote } from "#bench/vote-ledger.ts";

/** What is done to the shard while votes are on their way. */
export type Fault =
  | "COMMIT cut"
  | "answer cut"
  | "connections cut"
  | "backend ended"
  | "standby restarted"
  | "standby killed"
  | "writer killed"
  | "writer frozen"
  | "primary killed";

export type Step =
  | { readonly kind: "vote"; readonly votes: number; readonly keyed: boolean }
  | { readonly kind: "repeat"; readonly which: number }
  | { readonly kind: "conflict"; readonly which: number; readonly how: "choice" | "key" | "no key" }
  | { readonly kind: "race" }
  | { readonly kind: "fault"; readonly fault: Fault; readonly votes: number };

/** Lists of steps; a fault that is named more often comes more often. */
export function interleavings(faults: readonly Fault[], steps: number): fc.Arbitrary<Step[]> {
  const which = fc.nat(1_000);
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("vote"), votes: fc.integer({ min: 1, max: 30 }), keyed: fc.boolean() }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("repeat"), which }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("conflict"),
        which,
        how: fc.constantFrom("choice", "key", "no key"),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("race") }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("fault"),
        fault: fc.constantFrom(...faults),
        votes: fc.integer({ min: 1, max: 30 }),
      }),
    },
  );
  return fc.array(step, { minLength: steps, maxLength: steps });
}

type Stands = { readonly vote: SentVote; readonly leaf: number; readonly batch: number };

/** Runs the steps in an election of their own, and compares each answer, and in the end the database, with the model. */
export class Interleaving {
  readonly #rig: ShardRig;
  readonly #election: RigElection;
  readonly #stands: Stands[] = [];

  private constructor(rig: ShardRig, election: RigElection) {
    this.#rig = rig;
    this.#election = election;
  }

  static async run(rig: ShardRig, electionId: string, steps: readonly Step[]): Promise<void> {
    const interleaving = new Interleaving(rig, await rig.open(electionId));
    for (const step of steps) await interleaving.#step(step);
    await interleaving.#compare();
  }

  async #step(step: Step): Promise<void> {
    switch (step.kind) {
      case "vote": {
        const votes = this.#election.fresh(step.votes);
        return await this.#record(step.keyed ? votes : votes.map(withoutKey));
      }
      case "repeat":
        return await this.#repeat(step.which);
      case "conflict":
        return await this.#conflict(step.which, step.how);
      case "race":
        return await this.#race();
      case "fault": {
        const inject = faults[step.fault];
        const votes = this.#election.fresh(step.votes);
        const recording = { votes, settle: () => this.#record(votes) };
        return await inject(this.#rig, recording);
      }
    }
  }

  /** New voters: each vote is recorded; only one whose answer was lost on the way may find itself. */
  async #record(votes: readonly SentVote[]): Promise<void> {
    const answers = await this.#rig.settle(votes);
    for (const [i, vote] of votes.entries()) await this.#stand(vote, answers[i] as Answer);
  }

  async #stand(vote: SentVote, { outcome, leaf, batch }: Answer): Promise<void> {
    const itself = vote.idempotencyKey.length > 0 ? "REPEAT" : "ALREADY_VOTED";
    expect(["RECORDED", this.#wasLost(vote) ? itself : "RECORDED"]).toContain(outcome);
    const place = outcome === "ALREADY_VOTED" ? await this.#rig.rowsOf(this.#election, [vote]) : [{ leaf, batch }];
    expect(place).toHaveLength(1);
    for (const found of place) this.#stands.push({ vote, ...found });
  }

  /** Whether a sending of this vote had no answer, or UNKNOWN. */
  #wasLost(vote: SentVote): boolean {
    return this.#rig.ledger.entries.some((entry) => entry.vote === vote && entry.outcome.kind === "unknown");
  }

  async #repeat(which: number): Promise<void> {
    const stands = this.#stands[which % this.#stands.length];
    if (stands === undefined) return;
    const { vote, leaf, batch } = stands;
    const keyed = vote.idempotencyKey.length > 0;
    const [answer] = await this.#rig.settle([vote]);
    expect(answer).toEqual(
      keyed ? { outcome: "REPEAT", leaf, batch } : { outcome: "ALREADY_VOTED", leaf: 0, batch: 0 },
    );
  }

  async #conflict(which: number, how: "choice" | "key" | "no key"): Promise<void> {
    const stands = this.#stands[which % this.#stands.length];
    if (stands === undefined) return;
    const { vote } = stands;
    const chosen = vote.selections[0]?.optionIds[0];
    const conflicts = {
      choice: choosing(vote, chosen === "ada" ? "bob" : "ada"),
      key: { ...vote, idempotencyKey: this.#election.vote(vote.voterId).idempotencyKey },
      "no key": withoutKey(vote),
    };
    const [answer] = await this.#rig.settle([conflicts[how]]);
    expect(answer?.outcome).toBe("ALREADY_VOTED");
  }

  /** One voter, two votes, two streams at once: the first stands, the other is refused. */
  async #race(): Promise<void> {
    const [one = this.#election.vote("")] = this.#election.fresh(1);
    const other = choosing(
      { ...one, idempotencyKey: this.#election.vote(one.voterId).idempotencyKey },
      one.selections[0]?.optionIds[0] === "cid" ? "ada" : "cid",
    );
    const [[first], [second]] = await Promise.all([this.#rig.settle([one]), this.#rig.settle([other])]);
    const [winner, loser] = first?.outcome === "ALREADY_VOTED" ? [second, first] : [first, second];
    expect(loser?.outcome).toBe("ALREADY_VOTED");
    await this.#stand(winner === first ? one : other, winner as Answer);
  }

  /** The rows of the election are the model's, leaf by leaf; then the checker reads everything once more. */
  async #compare(): Promise<void> {
    const rows = await this.#rig.sql<{ nullifier: string; leaf: number; batch: number }>(
      `SELECT replace(nullifier::text, '-', '') AS nullifier, leaf_index::float8 AS leaf, batch_number::float8 AS batch
       FROM ${await this.#rig.votesTable(this.#election.id)} ORDER BY leaf`,
    );
    const model = this.#stands
      .map(({ vote, leaf, batch }) => ({ nullifier: this.#election.nullifierOf(vote), leaf, batch }))
      .sort((a, b) => a.leaf - b.leaf);
    expect(rows).toEqual(model);
    await this.#rig.check();
  }
}

type Recording = { readonly votes: readonly SentVote[]; settle(): Promise<void> };

/** Each asserts that it happened (A10). */
const faults: Record<Fault, (rig: ShardRig, recording: Recording) => Promise<void>> = {
  "COMMIT cut": async (rig, { settle }) => {
    const holding = rig.holdVotes("commit");
    const settling = settle();
    (await holding).cut();
    await settling;
  },
  "answer cut": async (rig, { settle }) => {
    const holding = rig.holdVotes("commit-answer");
    const settling = settle();
    const held = await holding;
    expect(held.tag).toBe("COMMIT");
    held.cut();
    await settling;
  },
  "connections cut": async (rig, { settle }) => {
    const settling = settle();
    for (const { proxy } of rig.nodes) proxy.cutAll();
    await settling;
  },
  "backend ended": async (rig, { settle }) => {
    const [settling, backends] = [settle(), await rig.backends()];
    for (const pid of backends) await rig.sql("SELECT pg_terminate_backend($1)", [pid]);
    await settling;
  },
  "standby restarted": async (rig, { settle }) => {
    await rig.standby.stop();
    const settling = settle();
    await rig.standby.start();
    await settling;
  },
  "standby killed": async (rig, { settle }) => {
    const settling = settle();
    await rig.standby.kill();
    await rig.standby.start();
    await settling;
  },
  "writer killed": async (rig, { settle }) => {
    const writer = await rig.writer();
    const settling = settle();
    await writer.kill("SIGKILL");
    await settling;
    await writer.start();
  },
  "writer frozen": async (rig, { settle }) => {
    const [writer, { epoch }] = [await rig.writer(), await rig.head()];
    const settling = settle();
    writer.freeze();
    await rig.untilEpoch(epoch + 1);
    writer.thaw();
    await settling;
  },
  "primary killed": async (rig, { settle }) => {
    const settling = settle();
    await rig.primary.kill();
    await rig.primary.start();
    await settling;
  },
};
