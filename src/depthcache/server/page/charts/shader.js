/**
 * The picture of the heatmap, painted by WebGL2; pixels.js paints the same on a 2D canvas.
 *
 * A view says what to paint: `width`, `height` (pixels of the screen), `pool` (columns per pixel), `stretch` (pixels per
 * column), `top` (the row above the picture), `rows`, `scale` (the quantity of the last colour), `line` (pixels). Where
 * columns share a pixel, a gap wins over quantities, and the largest quantity over the others.
 */

import { COLUMNS, KIND, ROWS } from "./ring.js";

export const STRIPES = 8;

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
uniform int newestSlot, shift, phase, pool, stretch, top, rows;
uniform float scale, line;
uniform vec3 palette[6], bid, ask, muted;
out vec4 colour;

vec4 markOf(int age) { return texelFetch(marks, ivec2((newestSlot - age + 2 * ${COLUMNS}) % ${COLUMNS}, 0), 0); }

// How near the line of a best price passes, which runs from the column before to this one.
float distanceTo(float here, float before) {
  float y = float(size.y) - gl_FragCoord.y, step = float(size.y) / float(rows);
  float from = (float(top) - here) * step, to = (float(top) - before) * step;
  return abs(y - clamp(y, min(from, to), max(from, to)));
}

void main() {
  int back = size.x - 1 - int(gl_FragCoord.x), y = size.y - 1 - int(gl_FragCoord.y);
  int first = y * rows / size.y, last = max(first + 1, (y + 1) * rows / size.y);
  int kind = ${KIND.unseen};
  float most = 0.0, nearBid = 1e9, nearAsk = 1e9;
  for (int i = 0; i < pool; i += 1) {
    int age = back / stretch * pool + shift - i;
    if (age < 0 || age >= ${COLUMNS}) continue;
    vec4 mark = markOf(age), before = markOf(age + 1);
    kind = max(kind, int(mark.y));
    if (int(mark.y) != ${KIND.seen}) continue;
    for (int row = top - 1 - first; row > top - 1 - last; row -= 1) {
      if (row < int(mark.x) || row >= int(mark.x) + ${ROWS}) continue;
      most = max(most, texelFetch(values, ivec2(row & ${ROWS - 1}, (newestSlot - age + ${COLUMNS}) % ${COLUMNS}), 0).x);
    }
    if (age + 1 >= ${COLUMNS} || int(before.y) != ${KIND.seen}) before = mark;
    nearBid = min(nearBid, distanceTo(mark.z, before.z));
    nearAsk = min(nearAsk, distanceTo(mark.w, before.w));
  }
  int place = phase + 65536 - back;
  if (place % ${STRIPES} >= 5) nearAsk = 1e9;
  float share = 5.0 * sqrt(min(1.0, most / scale));
  int stop = min(4, int(share));
  vec3 shade = mix(palette[stop], palette[stop + 1], share - float(stop));
  if (min(nearBid, nearAsk) <= 0.5 * line + 1.0) shade = palette[0];
  if (nearAsk <= 0.5 * line) shade = ask;
  if (nearBid <= 0.5 * line) shade = bid;
  if (kind == ${KIND.gap}) shade = mix(palette[0], muted, (place + y) % ${STRIPES} < 2 ? 0.55 : 0.08);
  colour = vec4(shade, 1.0);
}`;

/** What both painters derive: the age of the newest column in a pixel, and where stripes and dashes begin. */
export function derive(ring, { pool, stretch }) {
  const pixel = Math.floor(ring.newest / pool) * stretch + stretch - 1;
  return { shift: ring.newest % pool, phase: pixel % STRIPES };
}

/** Paints with WebGL2; `isLost` while the browser has taken the context away. */
export class ShaderPainter {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false });
    if (!this.gl) throw new Error("this browser has no WebGL2");
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.isLost = true;
    });
    canvas.addEventListener("webglcontextrestored", () => this.begin());
    this.begin();
  }

  begin() {
    const { gl } = this;
    this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(this.program));
    gl.useProgram(this.program);
    this.places = {};
    this.texture(0, gl.R32F, ROWS, COLUMNS);
    this.texture(1, gl.RGBA32F, COLUMNS, 1);
    this.uniform("uniform1i", { values: 0, marks: 1 });
    this.isLost = false;
    this.isWhole = true;
  }

  texture(unit, format, width, height) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
  }

  uniform(kind, values) {
    for (const [name, value] of Object.entries(values)) {
      this.places[name] ??= this.gl.getUniformLocation(this.program, name);
      this.gl[kind](this.places[name], value);
    }
  }

  /** Other colours, each as three numbers. */
  recolour({ palette, bid, ask, muted }) {
    this.uniform("uniform3fv", { palette: palette.flat(), bid, ask, muted });
  }

  paint(ring, view) {
    const { gl } = this;
    const { pool, stretch, top, rows, scale, line, width, height } = view;
    this.upload(ring, this.isWhole ? -Infinity : ring.writtenFrom);
    this.isWhole = false;
    gl.viewport(0, 0, width, height);
    this.uniform("uniform2iv", { size: [width, height] });
    this.uniform("uniform1i", { newestSlot: ring.newest % COLUMNS, pool, stretch, top, rows, ...derive(ring, view) });
    this.uniform("uniform1f", { scale, line });
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** Columns from this one on, in as few calls as the ring's end allows. */
  upload(ring, from) {
    const { gl } = this;
    let column = Math.max(from, ring.newest - COLUMNS + 1, 0);
    while (column <= ring.newest) {
      const slot = column % COLUMNS;
      const count = Math.min(ring.newest - column + 1, COLUMNS - slot);
      gl.activeTexture(gl.TEXTURE0);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, slot, ROWS, count, gl.RED, gl.FLOAT, ring.values, slot * ROWS);
      gl.activeTexture(gl.TEXTURE1);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, slot, 0, count, 1, gl.RGBA, gl.FLOAT, ring.marks, slot * 4);
      column += count;
    }
  }

  dispose() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
