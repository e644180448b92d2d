/**
 * The picture of the heatmap, painted by WebGL2 or, with the same rules, on a 2D canvas.
 *
 * A view says what to paint: `width`, `height` (pixels of the screen), `pool` (columns per pixel) or `stretch` (pixels per
 * column), `top` (the row above the picture), `rows`, `scale` (the quantity of the brightest colour), `line` (pixels).
 * A gap wins over quantities, and the largest of the quantities that share a pixel wins over the others.
 */

import { COLUMNS, KIND, ROWS } from "./ring.js";

const STRIPES = 8;
const DASH = 8;

/** Colours from nothing to much, each lighter (or darker) than the one before. */
export const PALETTES = {
  dark: ["#0d1015", "#221c4d", "#4a36a3", "#9155cf", "#dc8fe0", "#fff0fb"],
  light: ["#ffffff", "#e6dffa", "#bda9f0", "#8761dc", "#5a2fb0", "#240b58"],
};

const VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D values, marks;
uniform ivec2 size;
uniform int newestSlot, poolShift, pool, stretch, top, rows, stripe, dash;
uniform float scale, line;
uniform vec3 palette[6], bid, ask, muted;
out vec4 colour;

int slotOf(int age) { return (newestSlot - age + 2 * ${COLUMNS}) % ${COLUMNS}; }
float lineAt(float row) { return (float(top) - row) * float(size.y) / float(rows); }

// How near the line of a best price passes, which runs from the column before to this one.
float distanceTo(float here, float before, float y) {
  return abs(y - clamp(y, min(here, before), max(here, before)));
}

void main() {
  int x = int(gl_FragCoord.x), y = size.y - 1 - int(gl_FragCoord.y);
  int first = y * rows / size.y, last = max(first + 1, (y + 1) * rows / size.y);
  int back = (size.x - 1 - x) / stretch;
  int kind = ${KIND.unseen};
  float most = 0.0, nearBid = 1e9, nearAsk = 1e9, middle = float(y) + 0.5;
  for (int i = 0; i < pool; i += 1) {
    int age = back * pool + poolShift - i;
    if (age < 0 || age >= ${COLUMNS}) continue;
    int slot = slotOf(age);
    vec4 mark = texelFetch(marks, ivec2(slot, 0), 0);
    if (int(mark.y) == ${KIND.unseen}) continue;
    kind = max(kind, int(mark.y));
    if (int(mark.y) != ${KIND.seen}) continue;
    for (int k = first; k < last; k += 1) {
      int row = top - 1 - k, base = int(mark.x);
      if (row < base || row >= base + ${ROWS}) continue;
      most = max(most, texelFetch(values, ivec2(row & ${ROWS - 1}, slot), 0).x);
    }
    vec4 before = texelFetch(marks, ivec2(slotOf(age + 1), 0), 0);
    if (age + 1 >= ${COLUMNS} || int(before.y) != ${KIND.seen}) before = mark;
    nearBid = min(nearBid, distanceTo(lineAt(mark.z), lineAt(before.z), middle));
    nearAsk = min(nearAsk, distanceTo(lineAt(mark.w), lineAt(before.w), middle));
  }
  float share = 5.0 * sqrt(min(1.0, most / scale));
  int stop = min(4, int(share));
  vec3 shade = mix(palette[stop], palette[stop + 1], share - float(stop));
  if (kind == ${KIND.gap}) {
    int place = (stripe + 65536 - (size.x - 1 - x) + y) % ${STRIPES};
    shade = mix(palette[0], muted, place < 2 ? 0.55 : 0.08);
  } else {
    bool isDashed = (dash + 65536 - (size.x - 1 - x)) % ${DASH} < 5;
    if (nearBid <= 0.5 * line || (isDashed && nearAsk <= 0.5 * line)) shade = nearBid <= 0.5 * line ? bid : ask;
    else if (min(nearBid, isDashed ? nearAsk : 1e9) <= 0.5 * line + 1.0) shade = palette[0];
  }
  colour = vec4(shade, 1.0);
}`;

/** Numbers that both painters derive from a view. */
function derive(ring, view) {
  const bin = Math.floor(ring.newest / view.pool);
  const right = bin * view.stretch + view.stretch - 1;
  return { poolShift: ring.newest % view.pool, stripe: right % STRIPES, dash: right % DASH };
}

/** Paints with WebGL2. `isLost` while the browser has taken the context away. */
export class ShaderPainter {
  constructor(element) {
    this.element = element;
    this.gl = element.getContext("webgl2", { alpha: false, antialias: false, depth: false });
    if (!this.gl) throw new Error("WebGL2 is not available");
    this.onLost = (event) => {
      event.preventDefault();
      this.isLost = true;
    };
    this.onRestored = () => this.begin();
    element.addEventListener("webglcontextlost", this.onLost);
    element.addEventListener("webglcontextrestored", this.onRestored);
    this.begin();
  }

  begin() {
    const { gl } = this;
    this.isLost = gl.isContextLost();
    if (this.isLost) return;
    this.program = compile(gl);
    gl.useProgram(this.program);
    this.places = new Map();
    this.textures = [texture(gl, 0, gl.R32F, ROWS, COLUMNS), texture(gl, 1, gl.RGBA32F, COLUMNS, 1)];
    gl.uniform1i(this.place("values"), 0);
    gl.uniform1i(this.place("marks"), 1);
    this.isWhole = true;
  }

  place(name) {
    if (!this.places.has(name)) this.places.set(name, this.gl.getUniformLocation(this.program, name));
    return this.places.get(name);
  }

  /** Other colours, each as three numbers. */
  recolour({ palette, bid, ask, muted }) {
    const { gl } = this;
    gl.uniform3fv(this.place("palette"), palette.flat());
    gl.uniform3fv(this.place("bid"), bid);
    gl.uniform3fv(this.place("ask"), ask);
    gl.uniform3fv(this.place("muted"), muted);
  }

  paint(ring, view, written) {
    const { gl } = this;
    this.upload(ring, written);
    const { poolShift, stripe, dash } = derive(ring, view);
    gl.viewport(0, 0, view.width, view.height);
    gl.uniform2i(this.place("size"), view.width, view.height);
    const whole = { newestSlot: ring.slot(ring.newest), poolShift, stripe, dash };
    Object.assign(whole, { pool: view.pool, stretch: view.stretch, top: view.top, rows: view.rows });
    for (const [name, value] of Object.entries(whole)) gl.uniform1i(this.place(name), value);
    gl.uniform1f(this.place("scale"), view.scale);
    gl.uniform1f(this.place("line"), view.line);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** Columns that changed, as few calls as the ring's end allows. */
  upload(ring, { from, to }) {
    const { gl } = this;
    if (this.isWhole) [from, to] = [ring.newest - COLUMNS + 1, ring.newest];
    this.isWhole = false;
    while (from <= to) {
      const slot = ((from % COLUMNS) + COLUMNS) % COLUMNS;
      const count = Math.min(to - from + 1, COLUMNS - slot);
      gl.activeTexture(gl.TEXTURE0);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, slot, ROWS, count, gl.RED, gl.FLOAT, ring.values, slot * ROWS);
      gl.activeTexture(gl.TEXTURE1);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, slot, 0, count, 1, gl.RGBA, gl.FLOAT, ring.marks, slot * 4);
      from += count;
    }
  }

  dispose() {
    this.element.removeEventListener("webglcontextlost", this.onLost);
    this.element.removeEventListener("webglcontextrestored", this.onRestored);
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

function compile(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  return program;
}

function texture(gl, unit, format, width, height) {
  const made = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  return made;
}

/** Paints pixel by pixel: columns that are new, and everything only if the view changed. */
export class PixelPainter {
  constructor(element) {
    this.element = element;
    this.context = element.getContext("2d", { alpha: false });
    this.isLost = false;
    this.seen = "";
    this.newest = 0;
  }

  recolour(colours) {
    this.colours = colours;
    this.shades = Array.from({ length: 1024 }, (_, i) => shadeOf(colours.palette, (5 * i) / 1023));
    this.seen = "";
  }

  paint(ring, view, written) {
    const seen = JSON.stringify([view, ring.step, ring.origin]);
    const shifted = Math.floor(ring.newest / view.pool) - Math.floor(this.newest / view.pool);
    const shift = shifted * view.stretch;
    const isNew = written.to >= written.from;
    const oldest = isNew ? Math.floor(ring.newest / view.pool) - Math.floor(written.from / view.pool) : -1;
    const isWhole = seen !== this.seen || shift >= view.width || shift < 0;
    if (!isWhole && shift > 0) this.context.drawImage(this.element, -shift, 0);
    const wide = isWhole ? view.width : Math.min(view.width, Math.max(shift, (oldest + 1) * view.stretch));
    this.seen = seen;
    this.newest = ring.newest;
    if (wide > 0) this.strip(ring, view, view.width - wide, wide);
  }

  strip(ring, view, left, wide) {
    const image = this.context.createImageData(wide, view.height);
    const pixels = new Uint32Array(image.data.buffer);
    const numbers = derive(ring, view);
    for (let x = 0; x < wide; x += 1) this.column(ring, view, numbers, left + x, pixels, x, wide);
    this.context.putImageData(image, left, 0);
  }

  column(ring, view, { poolShift, stripe, dash }, x, pixels, offset, wide) {
    const { width, height, pool, stretch, top, rows, scale } = view;
    const { values, marks } = ring;
    const back = Math.floor((width - 1 - x) / stretch);
    const columns = [];
    let kind = KIND.unseen;
    for (let i = 0; i < pool; i += 1) {
      const age = back * pool + poolShift - i;
      if (age < 0 || age >= COLUMNS || ring.newest - age < 0) continue;
      const slot = ring.slot(ring.newest - age);
      kind = Math.max(kind, marks[4 * slot + 1]);
      if (marks[4 * slot + 1] === KIND.seen) columns.push([slot, age]);
    }
    const isDashed = (dash + 65536 - (width - 1 - x)) % DASH < 5;
    const [muted, surface] = [this.colours.muted, this.colours.palette[0]];
    const stripes = [packed(mix(surface, muted, 0.55)), packed(mix(surface, muted, 0.08))];
    for (let y = 0; y < height; y += 1) {
      const at = y * wide + offset;
      if (kind === KIND.gap) {
        const place = (stripe + 65536 - (width - 1 - x) + y) % STRIPES;
        pixels[at] = stripes[place < 2 ? 0 : 1];
        continue;
      }
      const first = Math.floor((y * rows) / height);
      const last = Math.max(first + 1, Math.floor(((y + 1) * rows) / height));
      let most = 0;
      for (const [slot] of columns) {
        const base = marks[4 * slot];
        for (let row = top - 1 - first; row > top - 1 - last; row -= 1) {
          if (row >= base && row < base + ROWS) most = Math.max(most, values[slot * ROWS + (row & (ROWS - 1))]);
        }
      }
      pixels[at] = this.shades[Math.round(1023 * Math.sqrt(Math.min(1, most / scale)))];
    }
    if (kind === KIND.seen) this.lines(ring, view, columns, isDashed, pixels, offset, wide);
  }

  /** The best prices over a column. */
  lines(ring, view, columns, isDashed, pixels, offset, wide) {
    const { colours } = this;
    const paint = (near, half, shade) => {
      for (const [low, high] of near) {
        const from = Math.max(0, Math.ceil(low - half - 0.5));
        const to = Math.min(view.height - 1, Math.floor(high + half - 0.5));
        for (let y = from; y <= to; y += 1) pixels[y * wide + offset] = packed(shade);
      }
    };
    const spans = (part) => columns.map(([slot, age]) => this.span(ring, view, slot, age, part));
    const [bids, asks] = [spans(2), isDashed ? spans(3) : []];
    paint([...bids, ...asks], 0.5 * view.line + 1, colours.palette[0]);
    paint(asks, 0.5 * view.line, colours.ask);
    paint(bids, 0.5 * view.line, colours.bid);
  }

  span(ring, view, slot, age, part) {
    const { marks } = ring;
    const before = (slot + COLUMNS - 1) % COLUMNS;
    const at = (place) => ((view.top - marks[4 * place + part]) * view.height) / view.rows;
    const isJoined = age + 1 < COLUMNS && marks[4 * before + 1] === KIND.seen;
    const [here, there] = [at(slot), at(isJoined ? before : slot)];
    return [Math.min(here, there), Math.max(here, there)];
  }

  dispose() {}
}

function mix(from, to, share) {
  return from.map((value, i) => value + (to[i] - value) * share);
}

function shadeOf(palette, share) {
  const stop = Math.min(4, Math.floor(share));
  return packed(mix(palette[stop], palette[stop + 1], share - stop));
}

function packed([red, green, blue]) {
  const byte = (value) => Math.round(255 * value);
  return (255 << 24) | (byte(blue) << 16) | (byte(green) << 8) | byte(red);
}
