/** Rows of prices: levels summed into groups of whole ticks. Nothing here draws. */

import { groupOf, groupSteps } from "../book.js";

/**
 * Sum a side into `out`, where `out[i]` is the group `first + i` of `step` units. Returns the quantity of all levels
 * that are better than these groups.
 */
export function sumGroups(side, step, first, out) {
  out.fill(0);
  const last = first + out.length - 1;
  let before = 0;
  for (let i = 0; i < side.length; i += 1) {
    const group = groupOf(side.sign * side.keys[i], step, side.sign);
    if (side.sign < 0 ? group < first : group > last) break;
    if (group < first || group > last) before += side.quantities[i];
    else out[group - first] += side.quantities[i];
  }
  return before;
}

/** Running sums of groups, from the best price on; 0 where `sums` ends or has not begun. */
export function cumulate(sums, before, sign, out) {
  let total = before;
  for (let i = 0; i < sums.length; i += 1) {
    const index = sign > 0 ? i : sums.length - 1 - i;
    total += sums[index];
    out[index] = total;
  }
}

/** The share of the `rows` groups from the best price on that hold a level. */
export function occupancy(side, step, rows) {
  if (side.length === 0) return 0;
  const best = groupOf(side.units(0), step, side.sign);
  let [count, seen] = [0, NaN];
  for (let i = 0; i < side.length; i += 1) {
    const group = groupOf(side.units(i), step, side.sign);
    if (Math.abs(group - best) >= rows) break;
    if (group !== seen) count += 1;
    seen = group;
  }
  return count / rows;
}

/** A multiple of the tick for which most of `rows` groups a side hold a level; stays near `current`. */
export function automaticGroup(book, rows, current = 0) {
  const filled = (group) => {
    const step = group * book.tick;
    return (occupancy(book.bids, step, rows) + occupancy(book.asks, step, rows)) / 2;
  };
  const steps = groupSteps(book);
  const at = steps.indexOf(current);
  if (at >= 0 && filled(current) > 0.35 && (at === 0 || filled(steps[at - 1]) < 0.8)) return current;
  return steps.find((group) => filled(group) >= 0.6) ?? steps.at(-1);
}

/** Whether a group is beyond what is proven of its side; `proven`: as of `Book.provenTo`. */
export function isBeyond(group, step, sign, proven) {
  return !(sign < 0 ? group * step >= proven : group * step <= proven);
}

/** A scale for bars that changes seldom: the largest value, rounded up in steps of 1.5, kept until it is twice too large. */
export function steadyScale(largest, current) {
  if (largest <= current && largest > current / 2.5) return current;
  return largest > 0 ? 1.5 ** Math.ceil(Math.log(largest) / Math.log(1.5)) : 1;
}
