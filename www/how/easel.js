// The board on which a reader draws a cloud.
import { node } from "./cell.js";

/** A board to draw a cloud on, by pointer, or with the arrow keys and Space. `labels`: pairs of the label's number and its name. */
export function easel(labels) {
  const own = [];
  const canvas = node("canvas", { width: 300, height: 300, className: "easel", tabIndex: 0 });
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Draw a cloud. Arrow keys move the brush, Space puts points down.");
  const pen = { x: 150, y: 150, drag: false, label: 1 };
  const colour = () =>
    node("select", { ariaLabel: "Colour of the brush" }, ...labels.map(([value, text]) => node("option", { value, textContent: text })));
  const choose = colour();
  const clear = node("button", { type: "button", textContent: "Clear the board" });
  const count = node("span", { className: "small" });
  const paint = () => {
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    context.clearRect(0, 0, 300, 300);
    for (const [x, y, label] of own) {
      context.fillStyle = style.getPropertyValue(`--c${label}`);
      context.fillRect(x - 1.5, y - 1.5, 3, 3);
    }
    context.strokeStyle = style.getPropertyValue("--ink");
    if (document.activeElement === canvas) context.strokeRect(pen.x - 6, pen.y - 6, 12, 12);
    count.textContent = `${own.length} points drawn.`;
  };
  const spray = () => {
    // Around the brush in a fixed pattern: sunflower seeds.
    for (let i = 0; i < 3; i++) {
      const [turn, far] = [2.399963 * (own.length + 1), 3 * Math.sqrt((own.length % 7) + 0.5)];
      own.push([pen.x + far * Math.cos(turn), pen.y + far * Math.sin(turn), Number(choose.value)]);
    }
  };
  const follow = (event) => {
    [pen.x, pen.y] = [(event.offsetX / canvas.clientWidth) * 300, (event.offsetY / canvas.clientHeight) * 300];
    if (pen.drag) spray();
    paint();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pen.drag = true;
    follow(event);
  });
  canvas.addEventListener("pointermove", (event) => pen.drag && follow(event));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (pen.drag = false));
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    if (move) [pen.x, pen.y] = [pen.x + move[0], pen.y + move[1]].map((x) => Math.max(6, Math.min(294, x)));
    else spray();
    paint();
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, paint);
  clear.addEventListener("click", () => {
    own.length = 0;
    paint();
  });
  const element = node(
    "div",
    { className: "board" },
    node("p", { textContent: "A board for a cloud of your own: choose “my own” above when it is drawn." }),
    canvas,
    node(
      "div",
      { className: "inputs" },
      node("label", { className: "field" }, node("span", { textContent: "Colour" }), choose),
      clear,
      count,
    ),
  );
  return {
    element,
    points: () => ({ points: own.flatMap(([x, y]) => [(x - 150) / 100, (150 - y) / 100]), labels: own.map(([, , label]) => label) }),
  };
}
