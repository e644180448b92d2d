/** A stub of the chart `heatmap`. `settings`: `group`, as of the ladder. */

export class Heatmap {
  constructor(host, { theme, settings, book }) {
    Object.assign(this, { host, theme, settings, book });
  }

  /** A message of the book was applied. */
  changed(message) {}

  /** Draw what changed; `nowMs`: of the frame. */
  draw(nowMs) {}

  /** The host has another size. */
  resize() {}

  /** Take other settings. */
  set(settings) {
    Object.assign(this.settings, settings);
  }

  /** One sentence for screen readers. */
  describe() {
    return "";
  }

  /** Let go of everything. */
  dispose() {
    this.host.replaceChildren();
  }
}
