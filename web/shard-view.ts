/** A line a shard. */
import { element, setText } from "./element.ts";
import type { Row } from "./keyed-children.ts";
import { KeyedChildren } from "./keyed-children.ts";
import type { ShardLine } from "./shard-model.ts";

export function shardTable(place: HTMLElement): KeyedChildren<ShardLine> {
  const body = element("tbody");
  const heads = ["Shard", "Batch", "Counted to", "Votes", "Standby", "State"].map((title, i) =>
    element("th", { scope: "col", class: i === 0 ? "name" : i < 4 ? "number" : "words" }, title),
  );
  place.append(element("table", { class: "shards" }, element("thead", {}, element("tr", {}, ...heads)), body));
  return new KeyedChildren<ShardLine>(body, ({ shardId }) => String(shardId), shardRow);
}

function shardRow({ shardId }: ShardLine): Row<ShardLine> {
  const name = element("th", { scope: "row", class: "name" }, `Shard ${shardId}`);
  const [batch, counted, votes] = [
    element("td", { class: "number", "data-head": "Batch" }),
    element("td", { class: "number", "data-head": "Counted to" }),
    element("td", { class: "number", "data-head": "Votes" }),
  ];
  const standby = element("td", { class: "words", "data-head": "Standby" });
  const note = element("td", { class: "words", "data-head": "State" });
  return {
    node: element("tr", {}, name, batch, counted, votes, standby, note),
    update(line) {
      setText(batch, line.batch);
      setText(counted, line.counted);
      setText(votes, line.votes);
      setText(standby, line.standby);
      setText(note, line.note);
      note.classList.toggle("fault", !line.healthy);
    },
  };
}
