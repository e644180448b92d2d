/** When the page draws: at the frame after something changed, and ten times a second. A still page costs next to nothing. */

const TICK_MS = 100;

class Frames {
  constructor() {
    this.isDue = false;
    this.draw = () => {};
    for (const name of ["pointermove", "pointerdown", "pointerout", "keydown", "wheel", "scroll", "click", "input", "focusin"]) {
      addEventListener(name, () => this.wake(), { capture: true, passive: true });
    }
    document.addEventListener("visibilitychange", () => this.wake());
  }

  /** Call `draw(nowMs)` in each frame. */
  start(draw) {
    this.draw = draw;
    this.wake();
  }

  /** Something changed: draw at the next frame. */
  wake() {
    if (this.isDue) return;
    this.isDue = true;
    clearTimeout(this.timer);
    requestAnimationFrame((nowMs) => {
      this.isDue = false;
      this.timer = setTimeout(() => this.wake(), TICK_MS); // before drawing, which may fail
      this.draw(nowMs);
    });
  }
}

/** The one loop that draws. */
export const frames = new Frames();
