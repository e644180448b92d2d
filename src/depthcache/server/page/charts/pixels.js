/** The picture of the heatmap on a 2D canvas, by the rules of shader.js, where WebGL2 is missing or lost. */

import { COLUMNS, KIND, ROWS } from "./ring.js";
import { STRIPES, derive } from "./shader.js";

/** Paints pixel by pixel: columns that are new, and everything only if the view changed. */
export class PixelPainter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.isWhole = true;
  }

  recolour({ palette, bid, ask, muted }) {
    const shade = (share) => {
      const stop = Math.min(4, Math.floor(share));
      return packed(mix(palette[stop], palette[stop + 1], share - stop));
    };
    this.shades = Array.from({ length: 1024 }, (_, i) => shade((5 * i) / 1023));
    this.stripes = [0.55, 0.08].map((share) => packed(mix(palette[0], muted, share)));
    this.lines = [packed(palette[0]), packed(ask), packed(bid)];
    this.isWhole = true;
  }

  paint(ring, view) {
    const { pool, stretch, width } = view;
    const [seen, newest] = [Object.values(view).join(), Math.floor(ring.newest / pool)];
    const moved = (newest - this.newest) * stretch;
    const isWhole = this.isWhole || seen !== this.seen || moved >= width;
    if (!isWhole && moved > 0) this.context.drawImage(this.canvas, -moved, 0);
    const written = (newest - Math.floor(ring.writtenFrom / pool) + 1) * stretch;
    const wide = isWhole ? width : Math.min(width, Math.max(moved, written));
    Object.assign(this, { isWhole: false, seen, newest });
    if (wide <= 0) return;
    const image = this.context.createImageData(wide, view.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let x = 0; x < wide; x += 1) this.column(ring, view, wide - 1 - x, (y, shade) => (pixels[y * wide + x] = shade));
    this.context.putImageData(image, width - wide, 0);
  }

  /** One column of pixels, `back` from the right, as in the shader. */
  column(ring, view, back, put) {
    const { height, pool, stretch, top, rows, scale } = view;
    const { values, marks } = ring;
    const { shift, phase } = derive(ring, view);
    const place = phase + 65536 - back;
    const ages = [];
    let kind = KIND.unseen;
    for (let i = 0; i < pool; i += 1) {
      const age = Math.floor(back / stretch) * pool + shift - i;
      const found = age < 0 || age >= COLUMNS ? KIND.unseen : ring.kind(ring.newest - age);
      kind = Math.max(kind, found);
      if (found === KIND.seen) ages.push(age);
    }
    for (let y = 0; y < height; y += 1) {
      if (kind === KIND.gap) put(y, this.stripes[(place + y) % STRIPES < 2 ? 0 : 1]);
      else {
        const first = Math.floor((y * rows) / height);
        const last = Math.max(first + 1, Math.floor(((y + 1) * rows) / height));
        let most = 0;
        for (const age of ages) {
          const slot = (ring.newest - age) % COLUMNS;
          const base = marks[4 * slot];
          for (let row = top - 1 - first; row > top - 1 - last; row -= 1) {
            if (row >= base && row < base + ROWS) most = Math.max(most, values[slot * ROWS + (row & (ROWS - 1))]);
          }
        }
        put(y, this.shades[Math.round(1023 * Math.sqrt(Math.min(1, most / scale)))]);
      }
    }
    if (kind !== KIND.seen) return;
    const [asks, bids] = [place % STRIPES < 5 ? this.spans(ring, view, ages, 3) : [], this.spans(ring, view, ages, 2)];
    const half = 0.5 * view.line;
    [[[...asks, ...bids], half + 1], [asks, half], [bids, half]].forEach(([spans, reach], i) => {
      for (const [low, high] of spans) {
        const to = Math.min(height - 1, Math.floor(high + reach - 0.5));
        for (let y = Math.max(0, Math.ceil(low - reach - 0.5)); y <= to; y += 1) put(y, this.lines[i]);
      }
    });
  }

  /** From where to where the line of a best price runs in each column. */
  spans(ring, { top, rows, height }, ages, part) {
    const y = (column) => ((top - ring.marks[4 * (column % COLUMNS) + part]) * height) / rows;
    return ages.map((age) => {
      const column = ring.newest - age;
      const before = ring.kind(column - 1) === KIND.seen ? column - 1 : column;
      return [Math.min(y(column), y(before)), Math.max(y(column), y(before))];
    });
  }

  dispose() {}
}

function mix(from, to, share) {
  return from.map((value, i) => value + (to[i] - value) * share);
}

function packed(colour) {
  const [red, green, blue] = colour.map((value) => Math.round(255 * value));
  return (255 << 24) | (blue << 16) | (green << 8) | red;
}
