/**
 * What a directory shows of what the registry says: only whole views, with an epoch that never goes back. What cannot be
 * taken over is named, and what was there before stays.
 */
import type { DirectoryView } from "#mesh/directory.ts";
import { nobodyAt } from "#mesh/directory.ts";
import type { MapDocument } from "./map-document.ts";
import { mapKey, parseMap, sameSlots } from "./map-document.ts";
import { NodeRoster } from "./node-roster.ts";
import type { ServiceInstance } from "./service-instances.ts";

/** After it was wiped the registry is believed about who has left only when everybody has had time to come back. */
const unsettledMs = 60_000;
/** A shard that nobody has registered for so long may be down: its map is better than none. */
const incompleteAfterMs = 5_000;

export class RegistryPicture {
  readonly #roster: NodeRoster;
  readonly #openedAtMs: number;
  #map: MapDocument | undefined;
  #offered: MapDocument | undefined;
  #tally: string;
  /** Undefined before the first answer. */
  #mapProblem: string | undefined;
  #hasMap = false;
  #unsettledUntilMs = 0;

  /** `before`: what an earlier process has seen. */
  constructor(before: DirectoryView | undefined, nowMs: number) {
    this.#roster = new NodeRoster(before, nowMs);
    this.#openedAtMs = nowMs;
    this.#tally = before?.tally ?? nobodyAt;
    if (before !== undefined) this.#map = { ...before, epoch: before.map.epoch, shards: before.map.shards };
  }

  /** Why the registry's map is not the one in use; empty when it is, undefined before it was heard. */
  get mapProblem(): string | undefined {
    return this.#mapProblem;
  }

  /** The registry knows less than it did. */
  startedAnew(nowMs: number): void {
    this.#unsettledUntilMs = nowMs + unsettledMs;
  }

  /** `text`: undefined where the registry has none. */
  takeMap(text: string | undefined, nowMs: number): void {
    this.#offered = undefined;
    this.#hasMap = false;
    if (text === undefined) {
      this.#mapProblem = `Consul holds no shard map (${mapKey})`;
      return;
    }
    try {
      this.#offered = parseMap(text);
      this.#settle(nowMs);
    } catch (error) {
      this.#mapProblem = (error as Error).message;
    }
  }

  takeShards(instances: readonly ServiceInstance[], nowMs: number): void {
    this.#roster.update(instances, this.#hasMap && nowMs >= this.#unsettledUntilMs, nowMs);
    this.#settle(nowMs);
  }

  /** One that accepts connections before one that does not; where none is listed the last one stays. */
  takeTallies(instances: readonly ServiceInstance[]): void {
    const tally = instances.find(({ reachable }) => reachable) ?? instances[0];
    if (tally !== undefined) this.#tally = tally.address;
  }

  /** Undefined until there is a whole one. */
  view(nowMs: number): DirectoryView | undefined {
    this.#settle(nowMs);
    if (this.#map === undefined) return undefined;
    const { deployment, epoch } = this.#map;
    const shards = this.#map.shards.map(({ shardId, slots }) => ({
      shardId,
      slots,
      nodes: this.#roster.nodesOf(shardId),
    }));
    return { deployment, map: { epoch, shards }, tally: this.#tally };
  }

  /** Takes the offered map over, if it may be. */
  #settle(nowMs: number): void {
    const offered = this.#offered;
    if (offered === undefined) return;
    this.#mapProblem = this.#refusal(offered, nowMs);
    if (this.#mapProblem !== "") return;
    this.#map = offered;
    this.#hasMap = true;
  }

  /** Empty when there is nothing against it. */
  #refusal(offered: MapDocument, nowMs: number): string {
    const map = this.#map;
    if (map !== undefined && offered.deployment !== map.deployment) {
      return `it is of the deployment "${offered.deployment}", and this is "${map.deployment}"`;
    }
    if (map !== undefined && offered.epoch < map.epoch) {
      return `its epoch ${offered.epoch} is older than ${map.epoch}, which is in use`;
    }
    if (map !== undefined && offered.epoch === map.epoch) {
      return sameSlots(offered, map)
        ? ""
        : `it gives slots to other shards than before, and still is epoch ${map.epoch}`;
    }
    const unknown = offered.shards.find(
      ({ shardId }) =>
        this.#roster.nodesOf(shardId).length === 0 && !(map?.shards ?? []).some((shard) => shard.shardId === shardId),
    );
    if (unknown === undefined) return "";
    const mayBeDown = map === undefined && nowMs - this.#openedAtMs >= incompleteAfterMs;
    return mayBeDown ? "" : `it names shard ${unknown.shardId}, of which no node is registered`;
  }
}
