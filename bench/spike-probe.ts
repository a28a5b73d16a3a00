/**
 * A caller beside ghz: one vote at a time at fixed moments, each refusal looked at. ghz keeps of a refusal its status alone,
 * not its details.
 */
import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { fileContestId } from "#bench/election-file.ts";
import type { SentVotes } from "#bench/ghz-account.ts";
import type { GhzTarget } from "#bench/ghz-target.ts";
import { loadOptions, loadRegions } from "#bench/workload.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { VoteSchema } from "#proto/generated/urna/v1/vote_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { idempotencyKeyBytesMin } from "#proto/limits.ts";
import type { RejectionReason } from "#proto/rejections.ts";
import { RejectionError } from "#proto/rejections.ts";

const everyMs = 50;
const callLimitMs = 10_000;
const underWayMax = 400;

export type ProbeCall = {
  /** Milliseconds after the probe's start. */
  readonly atMs: number;
  readonly latencyMs: number;
  readonly outcome: "recorded" | RejectionReason | "failed";
  /** What RetryInfo says. */
  readonly retryAfterMs: number | undefined;
};

export class SpikeProbe {
  readonly calls: ProbeCall[] = [];
  readonly #client: Client<typeof VoteService>;
  readonly #electionId: string;
  readonly #startMs = performance.now();
  readonly #underWay = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #sent = 0;

  constructor(target: GhzTarget, electionId: string) {
    this.#client = createClient(VoteService, target.router, target.identity);
    this.#electionId = electionId;
    this.#timer = setInterval(() => this.#send(), everyMs);
  }

  get nowMs(): number {
    return performance.now() - this.#startMs;
  }

  /** Ends when every call has. May be called again. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    this.#client.close();
  }

  get votes(): SentVotes {
    const recorded = this.calls.filter(({ outcome }) => outcome === "recorded").length;
    const unknown = this.calls.filter(({ outcome }) => outcome === "failed" || outcome === "OUTCOME_UNKNOWN").length;
    return { sent: this.calls.length, acceptedMin: recorded, acceptedMax: recorded + unknown };
  }

  #send(): void {
    if (this.#underWay.size >= underWayMax) return;
    const call = this.#cast(this.#sent++).finally(() => this.#underWay.delete(call));
    this.#underWay.add(call);
  }

  async #cast(n: number): Promise<void> {
    const vote = create(VoteSchema, {
      electionId: this.#electionId,
      voter: { case: "voterId", value: `probe-${n}` },
      regionId: loadRegions[n % loadRegions.length] ?? "",
      selections: [{ contestId: fileContestId, optionIds: [loadOptions[n % loadOptions.length] ?? ""] }],
      idempotencyKey: randomBytes(idempotencyKeyBytesMin),
    });
    const startMs = performance.now();
    const atMs = this.nowMs;
    const note = (outcome: ProbeCall["outcome"], retryAfterMs?: number) =>
      this.calls.push({ atMs, latencyMs: performance.now() - startMs, outcome, retryAfterMs });
    try {
      await this.#client.castVote({ vote }, { deadlineMs: callLimitMs });
      note("recorded");
    } catch (error) {
      if (error instanceof RejectionError) note(error.reason, error.retryAfterMs);
      else note("failed");
    }
  }
}
