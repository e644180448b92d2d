/** Rows of prices: levels summed into groups of whole ticks. Nothing here draws. */

import { groupOf, groupSteps } from "../book.js";

/**
 * Sum a side into `sums`, where `sums[i]` is the group `first + i` of `step` units, and into `totals` from the best price
 * on, with the levels before the first group.
 */
export function sumGroups(side, step, first, sums, totals) {
  sums.fill(0);
  const last = first + sums.length - 1;
  let total = 0;
  for (let i = 0; i < side.length; i += 1) {
    const group = groupOf(side.units(i), step, side.sign);
    if (side.sign < 0 ? group < first : group > last) break;
    if (group < first || group > last) total += side.quantities[i];
    else sums[group - first] += side.quantities[i];
  }
  for (let i = 0; i < sums.length; i += 1) {
    const index = side.sign > 0 ? i : sums.length - 1 - i;
    total += sums[index];
    totals[index] = total;
  }
}

/** A multiple of the tick for which most of `rows` groups a side hold a level; stays near `current`. */
export function automaticGroup(book, rows, current = 0) {
  const filled = (group) => (occupancy(book.bids, group * book.tick, rows) + occupancy(book.asks, group * book.tick, rows)) / 2;
  const steps = groupSteps(book);
  const at = steps.indexOf(current);
  if (at >= 0 && filled(current) > 0.35 && (at === 0 || filled(steps[at - 1]) < 0.8)) return current;
  const isWhole = (side, step) => Math.abs(groupOf(side.units(side.length - 1), step, side.sign) - groupOf(side.units(0), step, side.sign)) < rows;
  const fits = (group) => [book.bids, book.asks].every((side) => side.length === 0 || isWhole(side, group * book.tick));
  return steps.find((group) => filled(group) >= 0.6 || fits(group)) ?? steps.at(-1);
}

/** The share of the `rows` groups from the best price on that hold a level. */
function occupancy(side, step, rows) {
  const groups = new Set();
  for (let i = 0; i < side.length; i += 1) {
    const group = groupOf(side.units(i), step, side.sign);
    if (Math.abs(group - groupOf(side.units(0), step, side.sign)) >= rows) break;
    groups.add(group);
  }
  return groups.size / rows;
}

/** A scale that changes seldom: the largest value, rounded up, kept until it is far too large. */
export function steadyScale(largest, current) {
  if (largest <= current && largest > current / 2.5) return current;
  return largest > 0 ? 1.5 ** Math.ceil(Math.log(largest) / Math.log(1.5)) : 1;
}
