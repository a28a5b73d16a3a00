/** For tests: a tally whose frames a test hands out, and which publishes in Redis what the test wants. */
import { create, toBinary } from "@bufbuild/protobuf";
import type { Redis } from "ioredis";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { ServiceImplementation } from "#mesh/service-call.ts";
import {
  GetTallyResponseSchema,
  GetTallyTableResponseSchema,
  TallyService,
} from "#proto/generated/urna/v1/tally_service_pb.js";
import type { TallyView } from "#proto/published-tally.ts";
import { packPublished, publishedForMs, ViewNames } from "#proto/published-tally.ts";
import { RejectionError } from "#proto/rejections.ts";

export const rootView: TallyView = { kind: "region", electionId: "e", regionId: "" };
export const tableView: TallyView = { kind: "table", electionId: "e" };

const names = new ViewNames("test");

export function answerAt(number: bigint, incarnation = 1n) {
  return {
    electionId: "e",
    cut: { frame: { incarnation, number }, vector: [{ shardId: 0, batch: number }] },
    region: { ballots: number },
  };
}

export function tableAt(number: bigint) {
  return { cut: answerAt(number).cut, regions: [{ regionId: "a", ballots: number }] };
}

export class ScriptedTally {
  /** GetTally and watches that came. */
  asked = 0;
  port = 0;
  readonly #server: GrpcServer;
  #number = 1n;
  readonly #wakers = new Set<() => void>();

  constructor() {
    this.#server = new GrpcServer([bind(TallyService, this.#service)]);
  }

  /** Port 0 asks for a free one. */
  async start(port = 0): Promise<void> {
    this.port = (await this.#server.listen(`127.0.0.1:${port}`)).port;
  }

  async stop(): Promise<void> {
    await this.#server.close(0);
  }

  /** The frame of all answers from now on. */
  set frame(number: bigint) {
    this.#number = number;
    for (const wake of this.#wakers) wake();
  }

  get #service(): ServiceImplementation<typeof TallyService> {
    const self = this;
    return {
      async getTally({ electionId, regionId }) {
        self.asked += 1;
        if (electionId !== "e") throw new RejectionError("UNKNOWN_ELECTION");
        if (regionId !== "") throw new RejectionError("NOT_FOUND", "there is no such region");
        return answerAt(self.#number);
      },
      async *getTallyTable() {
        self.asked += 1;
        yield tableAt(self.#number);
      },
      async *recount() {
        yield { part: { case: "progress", value: { rowsCounted: 1n, rowsExpected: 2n } } };
      },
      async *watchTally(_request, call) {
        self.asked += 1;
        let seen = 0n;
        while (!call.signal.aborted) {
          if (seen < self.#number) {
            seen = self.#number;
            yield answerAt(seen);
            continue;
          }
          await new Promise<void>((resolve) => {
            self.#wakers.add(resolve);
            call.signal.addEventListener("abort", () => resolve(), { once: true });
          });
        }
      },
    };
  }
}

/** As the tally does; answers how many routers heard it. */
export async function publish(redis: Redis, number: bigint, { incarnation = 1n, ageMs = 0, view = rootView } = {}) {
  const [seconds, microseconds] = await redis.time();
  const answer = answerAt(number, incarnation);
  const { cut = { vector: [] } } = create(GetTallyResponseSchema, answer);
  const encoded =
    view.kind === "region"
      ? toBinary(GetTallyResponseSchema, create(GetTallyResponseSchema, answer))
      : toBinary(GetTallyTableResponseSchema, create(GetTallyTableResponseSchema, tableAt(number)));
  const publishedAtMs = Number(seconds) * 1_000 + Number(microseconds) / 1_000 - ageMs;
  const packed = await packPublished(view, { cut, publishedAtMs, answers: [encoded] });
  const bytes = Buffer.from(packed ?? []);
  await redis.set(names.nameOf(view), bytes, "PX", publishedForMs);
  return await redis.publish(names.nameOf(view), bytes);
}

export function keyOf(view: TallyView): string {
  return names.nameOf(view);
}
