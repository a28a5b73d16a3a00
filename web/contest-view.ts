/** One contest: a bar an option, with counts and shares, and the undervotes below. */

import { element, setText } from "./element.ts";
import type { Row } from "./keyed-children.ts";
import { KeyedChildren } from "./keyed-children.ts";
import type { ContestResult, OptionResult } from "./results-model.ts";

/** As many as style.css has; options beyond share them again. */
const colourCount = 8;

export function contestRow(): Row<ContestResult> {
  const heading = element("h2");
  const list = element("ol", { class: "bars" });
  const undervotes = element("p", { class: "aside" });
  const bars = new KeyedChildren<OptionResult>(list, ({ optionId }) => optionId, optionRow);
  return {
    node: element("section", { class: "contest" }, heading, list, undervotes),
    update(contest) {
      setText(heading, contest.title);
      bars.show(contest.options);
      const upTo = contest.selectionsMax > 1 ? ` (up to ${contest.selectionsMax} selections each)` : "";
      setText(undervotes, `Undervotes: ${contest.undervotes}${upTo}`);
    },
  };
}

function optionRow({ place }: OptionResult): Row<OptionResult> {
  const title = element("span", { class: "option-title" });
  const share = element("span", { class: "option-share" });
  const count = element("span", { class: "option-count" });
  const fill = element("div", { class: `fill colour-${place % colourCount}` });
  const words = element("div", { class: "option-words" }, title, count, share);
  return {
    node: element("li", {}, words, element("div", { class: "track", "aria-hidden": "true" }, fill)),
    update(option) {
      setText(title, option.title);
      setText(count, option.count);
      setText(share, option.share);
      fill.style.width = `${(option.fraction * 100).toFixed(2)}%`;
    },
  };
}
