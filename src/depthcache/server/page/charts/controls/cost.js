/** What it costs to take one side of a book. */

/** What it costs to take `side` from the best price to `units` inclusive; null if no level is there. */
export function costOf(book, side, units) {
  const levels = book[side];
  const end = levels.find(units + levels.sign * 0.5);
  if (end === 0 || !book.isLive) return null;
  let [quantity, total, inverse] = [0, 0, 0];
  for (let i = 0; i < end; i += 1) {
    quantity += levels.quantities[i];
    total += levels.quantities[i] * levels.price(i);
    inverse += levels.quantities[i] / levels.price(i);
  }
  const average = book.isInverse ? quantity / inverse : total / quantity;
  const proven = book.provenTo(side);
  return {
    side: side === "asks" ? "buy" : "sell",
    levels: end,
    quantity,
    total: book.isInverse ? inverse : total,
    average,
    worst: levels.price(end - 1),
    slippageBps: (1e4 * levels.sign * (average - book.mid)) / book.mid,
    isProven: levels.keys[end - 1] <= levels.sign * proven,
  };
}
