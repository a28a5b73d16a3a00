/**
 * The page's life: choose an election, read its definition, watch one region of it, start again when the address
 * changes, pause while nobody looks. All numbers come from frames; nothing is added up here.
 */

import { FrameOrder } from "#proto/frame-order.ts";
import type { Election } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type { TallyCut } from "#proto/generated/urna/v1/tally_service_pb.js";
import { auditSilence, findingsBox } from "./audit-model.ts";
import { backoffMs, waitMs } from "./backoff.ts";
import type { Clients } from "./clients.ts";
import { callTimeoutMs, describeFailure, isUnimplemented, rejectionReason } from "./clients.ts";
import { element, placeFor, setText } from "./element.ts";
import { FindingsView } from "./findings-view.ts";
import { pollMesh } from "./mesh-poll.ts";
import { electionAddress, readAddress } from "./page-address.ts";
import { ResultsView } from "./results-view.ts";
import { shardLines } from "./shard-model.ts";
import { ShardTable } from "./shard-view.ts";
import type { WatchState } from "./tally-watch.ts";
import { watchTally } from "./tally-watch.ts";

export class Page {
  readonly #clients: Clients;
  readonly #shards = new ShardTable(placeFor("shards"));
  readonly #findings = new FindingsView();
  #nodes: readonly ShardNodeStatus[] | undefined;
  #cut: TallyCut | undefined;
  /** Ends what is under way when the region changes or the page is hidden. */
  #shown = new AbortController();

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  /** Runs for as long as the page is open. */
  async open(): Promise<void> {
    notice("Connecting…");
    const elections = await this.#untilAnswered(async () => {
      const answer = await this.#clients.elections.listElections({}, { timeoutMs: callTimeoutMs });
      return answer.elections;
    });
    const electionId = readAddress(location.search, location.hash).electionId ?? newestElection(elections);
    offerElections(elections, electionId);
    if (electionId === undefined) return this.#awaitFirstElection();
    const election = await this.#untilAnswered(() => this.#electionOf(electionId));
    if (election === undefined) return noSuchElection(electionId);
    await this.#watchRegions(election);
  }

  async #watchRegions({ definition }: Election): Promise<void> {
    if (definition === undefined) throw new Error("the election has no definition");
    const view = new ResultsView(definition);
    const order = new FrameOrder();
    const restart = () => this.#shown.abort();
    window.addEventListener("hashchange", () => placeFor("title").focus());
    window.addEventListener("hashchange", restart);
    document.addEventListener("visibilitychange", restart);
    for (;;) {
      this.#shown = new AbortController();
      const { signal } = this.#shown;
      // A browser keeps only six connections to a server: a page that nobody sees gives its own back.
      if (document.hidden) {
        await aborted(signal);
        continue;
      }
      const { regionId } = readAddress(location.search, location.hash);
      view.enter(regionId);
      void this.#watchMesh(signal);
      await watchTally({
        open: (stream) =>
          this.#clients.tally.watchTally({ electionId: definition.electionId, regionId }, { signal: stream }),
        order,
        onFrame: (frame) => {
          view.show(frame);
          this.#showCut(frame.cut);
        },
        onState: showState,
        signal,
        wait: waitMs,
        random: Math.random,
      });
    }
  }

  async #watchMesh(signal: AbortSignal): Promise<void> {
    await pollMesh({
      ask: async () => (await this.#clients.mesh.getMeshStatus({}, { signal, timeoutMs: callTimeoutMs })).nodes,
      onNodes: (nodes) => {
        if (signal.aborted) return;
        this.#nodes = nodes;
        this.#showShards();
      },
      isFinal: isUnimplemented,
      wait: waitMs,
      signal,
    });
  }

  #showCut(cut: TallyCut | undefined): void {
    this.#cut = cut;
    this.#showShards();
    this.#findings.show(findingsBox(cut));
    showAuditSilence(cut);
    const vector = cut?.vector.map(({ shardId, batch }) => `shard ${shardId} to batch ${batch}`) ?? [];
    setText(placeFor("cut"), vector.length === 0 ? "" : `These counts are an exact cut: ${vector.join(", ")}.`);
  }

  #showShards(): void {
    const lines = shardLines(this.#cut, this.#nodes);
    placeFor("shard-section").hidden = lines.length === 0;
    this.#shards.show(lines);
  }

  /** Undefined where the router knows no such election. */
  async #electionOf(electionId: string): Promise<Election | undefined> {
    try {
      return (await this.#clients.elections.getElection({ electionId }, { timeoutMs: callTimeoutMs })).election;
    } catch (error) {
      if (rejectionReason(error) === "UNKNOWN_ELECTION") return undefined;
      throw error;
    }
  }

  async #awaitFirstElection(): Promise<void> {
    notice("There is no election yet. Create one with: npx urna election create FILE");
    await waitMs(callTimeoutMs, new AbortController().signal);
    return this.open();
  }

  async #untilAnswered<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    for (let failures = 1; ; failures += 1) {
      try {
        return await ask();
      } catch (error) {
        const retryInMs = backoffMs(failures, Math.random());
        notice(`No results yet: ${describeFailure(error)}. Trying again.`);
        await waitMs(retryInMs, new AbortController().signal);
      }
    }
  }
}

/** The newest one that is open; without any, the newest. */
function newestElection(elections: readonly Election[]): string | undefined {
  const age = ({ createdAt }: Election) => createdAt?.seconds ?? 0n;
  const newestFirst = [...elections].sort((a, b) => (age(a) === age(b) ? 0 : age(a) > age(b) ? -1 : 1));
  const open = newestFirst.find(({ state }) => state === ElectionState.OPEN);
  return (open ?? newestFirst[0])?.definition?.electionId;
}

function offerElections(elections: readonly Election[], chosen: string | undefined): void {
  const select = placeFor("elections") as HTMLSelectElement;
  const definitions = elections.flatMap(({ definition }) => definition ?? []);
  select.replaceChildren(
    ...definitions.map(({ electionId, title }) => element("option", { value: electionId }, title || electionId)),
  );
  if (chosen !== undefined) select.value = chosen;
  select.onchange = () => location.assign(electionAddress(select.value));
  placeFor("election-choice").hidden = definitions.length === 0 || (definitions.length === 1 && select.value !== "");
}

function noSuchElection(electionId: string): void {
  notice(`There is no election "${electionId}" here.`);
}

/** What the reader must know of the stream; nothing while all is well, and no change while it is being opened. */
function showState(state: WatchState): void {
  if (state.kind === "live") notice("");
  if (state.kind === "catching-up") notice("The tally is catching up. What you see is the last that was complete.");
  if (state.kind === "broken") notice(brokenNotice(state.cause, state.retryInMs));
}

function brokenNotice(cause: unknown, retryInMs: number): string {
  const failure = describeFailure(cause);
  if (rejectionReason(cause) === "NOT_FOUND") return `${failure}.`;
  const seconds = Math.max(1, Math.round(retryInMs / 1_000));
  return `Not live: ${failure}. What you see is the last that came; next try in ${seconds} s.`;
}

function showAuditSilence(cut: TallyCut | undefined): void {
  const silence = auditSilence(cut);
  placeFor("audit-silence").hidden = silence === undefined;
  setText(placeFor("audit-silence"), silence ?? "");
}

function notice(text: string): void {
  const place = placeFor("notice");
  place.hidden = text === "";
  setText(place, text);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
