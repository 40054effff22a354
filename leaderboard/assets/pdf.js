/* A chart as a PDF of one page, in vectors: `resonancePdf`.
 *
 * Vega draws onto a canvas. `Page` is one as far as Vega's charts need it, and writes down what is
 * drawn in the language of PDF. Text is set in Helvetica, which every reader of PDF has; what that
 * lacks (letters beyond those of Western Europe) is a small picture of the text.
 */
"use strict";

const resonancePdf = (() => {
  const POINT = 0.75;  // of a pixel
  const FINE = 8;  // dots of a text's picture for each pixel
  const FONTS = { F0: "Helvetica", F1: "Helvetica-Bold" };
  const STATE = ["fillStyle", "strokeStyle", "lineWidth", "lineCap", "lineJoin", "miterLimit",
    "lineDashOffset", "globalAlpha", "font", "textAlign", "matrix", "dash"];
  // Where the encoding of PDF (WinAnsi) is not Latin-1; the minus sign is a dash of its width.
  const CODES = new Map([..."€\0‚ƒ„…†‡ˆ‰Š‹Œ\0Ž\0\0‘’“”•–—˜™š›œ\0žŸ"]
    .flatMap((letter, place) => (letter === "\0" ? [] : [[letter, 128 + place]])));
  CODES.set("−", CODES.get("–"));

  const written = (...numbers) => numbers.map((x) => String(+x.toFixed(3))).join(" ");
  const scratch = () => document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  /** Return red, green, blue and opacity, each from 0 to 1. */
  function colour(text, context) {
    context.fillStyle = "#000";
    context.fillStyle = text;  // reads back in one of two forms, whatever was written
    const found = context.fillStyle;
    if (found[0] !== "#") {
      const [red, green, blue, opacity] = found.match(/[\d.]+/g).map(Number);
      return [red / 255, green / 255, blue / 255, opacity];
    }
    return [...[1, 3, 5].map((at) => parseInt(found.slice(at, at + 2), 16) / 255), 1];
  }

  /** Return a text in the encoding of the fonts, or null where they lack a letter. */
  function encoded(text) {
    let found = "";
    for (const letter of text) {
      const code = CODES.get(letter) ?? letter.codePointAt(0);
      const known = CODES.has(letter) || (code >= 32 && code < 127) || (code > 159 && code < 256);
      if (!known) return null;
      found += "()\\".includes(letter) ? `\\${letter}` : String.fromCharCode(code);
    }
    return found;
  }

  class Page {
    constructor() {
      Object.assign(this, { fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, lineCap: "butt",
        lineJoin: "miter", miterLimit: 10, lineDashOffset: 0, globalAlpha: 1, font: "10px sans-serif",
        textAlign: "start", matrix: new DOMMatrix(), dash: [] });
      this.lines = [];
      this.path = [];
      this.kept = [];
      this.opacities = new Map();  // how opaque → its name
      this.shadings = [];
      this.pictures = [];
      this.measure = scratch();
    }

    // ---------------------------------------------------------------- state

    save() {
      this.kept.push(STATE.map((name) => this[name]));
      this.lines.push("q");
    }

    restore() {
      if (!this.kept.length) return;
      this.kept.pop().forEach((value, place) => { this[STATE[place]] = value; });
      this.lines.push("Q");
    }

    translate(x, y) { this.matrix = this.matrix.translate(x, y); }
    scale(x, y) { this.matrix = this.matrix.scale(x, y); }
    rotate(angle) { this.matrix = this.matrix.rotate((angle * 180) / Math.PI); }
    transform(...six) { this.matrix = this.matrix.multiply(new DOMMatrix(six)); }
    setLineDash(dash) { this.dash = [...dash]; }

    // ---------------------------------------------------------------- paths

    point(x, y) {
      const at = this.matrix.transformPoint(new DOMPoint(x, y));
      return [at.x, at.y];
    }

    add(operator, ...coordinates) {
      const points = [];
      for (let i = 0; i < coordinates.length; i += 2) {
        this.at = this.point(coordinates[i], coordinates[i + 1]);
        points.push(...this.at);
      }
      this.path.push(`${written(...points)} ${operator}`);
    }

    beginPath() { this.path = []; }
    closePath() { if (this.path.length) this.path.push("h"); }
    moveTo(x, y) { this.add("m", x, y); }
    lineTo(x, y) { this.add(this.path.length ? "l" : "m", x, y); }
    bezierCurveTo(...six) { this.add("c", ...six); }

    quadraticCurveTo(cx, cy, x, y) {
      const [x0, y0] = this.at, [x1, y1] = this.point(cx, cy), [x2, y2] = this.point(x, y);
      const third = (end, middle) => end + (2 / 3) * (middle - end);
      this.path.push(`${written(third(x0, x1), third(y0, y1), third(x2, x1), third(y2, y1), x2, y2)} c`);
      this.at = [x2, y2];
    }

    rect(x, y, width, height) {
      this.moveTo(x, y);
      for (const [dx, dy] of [[width, 0], [width, height], [0, height]]) this.lineTo(x + dx, y + dy);
      this.closePath();
    }

    arc(x, y, radius, from, to, back = false) {
      const whole = 2 * Math.PI, sign = back ? -1 : 1, asked = sign * (to - from);
      const turn = sign * (asked >= whole ? whole : ((asked % whole) + whole) % whole);
      const parts = Math.ceil(Math.abs(turn) / (Math.PI / 2)), step = turn / parts;
      const far = radius * (4 / 3) * Math.tan(step / 4);
      this.lineTo(x + radius * Math.cos(from), y + radius * Math.sin(from));
      for (let i = 0; i < parts; i += 1) {
        const a = from + i * step, b = a + step;
        this.bezierCurveTo(
          x + radius * Math.cos(a) - far * Math.sin(a), y + radius * Math.sin(a) + far * Math.cos(a),
          x + radius * Math.cos(b) + far * Math.sin(b), y + radius * Math.sin(b) - far * Math.cos(b),
          x + radius * Math.cos(b), y + radius * Math.sin(b));
      }
    }

    clip() { this.lines.push(...this.path, "W n"); }

    // ---------------------------------------------------------------- paint

    /** Write the lines that paint in a colour; nothing where it cannot be seen. */
    paint(style, operator, lines) {
      const [red, green, blue, own] = colour(style, this.measure), opacity = own * this.globalAlpha;
      if (opacity <= 0) return;
      if (!this.opacities.has(opacity)) this.opacities.set(opacity, `A${this.opacities.size}`);
      this.lines.push(`/${this.opacities.get(opacity)} gs`, `${written(red, green, blue)} ${operator}`, ...lines);
    }

    fill() {
      if (typeof this.fillStyle === "string") {
        this.paint(this.fillStyle, "rg", [...this.path, "f"]);
        return;
      }
      const { ends, stops } = this.fillStyle;
      const coordinates = [...this.point(...ends.slice(0, 2)), ...this.point(...ends.slice(2))];
      this.shadings.push({ coordinates, stops });
      this.lines.push("q", ...this.path, `W n /S${this.shadings.length - 1} sh`, "Q");
    }

    stroke() {
      const { a, b, c, d } = this.matrix, scale = Math.sqrt(Math.abs(a * d - b * c));
      const cap = ["butt", "round", "square"].indexOf(this.lineCap);
      const join = ["miter", "round", "bevel"].indexOf(this.lineJoin);
      this.paint(this.strokeStyle, "RG", [
        `${written(scale * this.lineWidth)} w ${cap} J ${join} j ${written(this.miterLimit)} M`,
        `[${written(...this.dash.map((x) => scale * x))}] ${written(scale * this.lineDashOffset)} d`,
        ...this.path, "S"]);
    }

    fillRect(...box) {
      const before = this.path;
      this.path = [];
      this.rect(...box);
      this.fill();
      this.path = before;
    }

    createLinearGradient(...ends) {
      const stops = [];
      return { ends, stops, addColorStop: (at, text) => stops.push([at, colour(text, this.measure)]) };
    }

    // ---------------------------------------------------------------- text

    measureText(text) {
      this.measure.font = this.font;
      return this.measure.measureText(text);
    }

    fillText(given, x, y) {
      const text = String(given), { width } = this.measureText(text), known = encoded(text);
      const before = { center: width / 2, right: width, end: width }[this.textAlign] ?? 0;
      if (known === null) {
        this.fillPicture(text, x - before, y, width);
        return;
      }
      const size = Number(/([\d.]+)px/.exec(this.font)[1]);
      const name = /\b(bold|[6-9]00)\b/.test(this.font) ? "F1" : "F0";
      const { a, b, c, d, e, f } = this.matrix.translate(x - before, y).scale(1, -1);
      this.paint(this.fillStyle, "rg", [
        `BT /${name} ${written(size)} Tf ${written(a, b, c, d, e, f)} Tm (${known}) Tj ET`]);
    }

    /** Paint a text through a stencil of its letters. */
    fillPicture(text, x, y, wide) {
      const size = Number(/([\d.]+)px/.exec(this.font)[1]), high = 1.5 * size;
      const context = scratch(), { canvas } = context;
      canvas.width = 8 * Math.ceil((wide * FINE) / 8) || 8;  // a row of dots is whole bytes
      canvas.height = Math.ceil(high * FINE);
      context.scale(FINE, FINE);
      context.font = this.font;
      context.fillText(text, 0, 1.1 * size);
      const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
      let bits = "";
      for (let i = 0; i < width * height; i += 8) {
        let byte = 0;
        for (let j = 0; j < 8; j += 1) byte = 2 * byte + (data[4 * (i + j) + 3] < 128 ? 1 : 0);
        bits += String.fromCharCode(byte);
      }
      this.pictures.push({ width, height, bits });
      const { a, b, c, d, e, f } = this.matrix.translate(x, y - 1.1 * size + height / FINE)
        .scale(width / FINE, -height / FINE);
      this.paint(this.fillStyle, "rg", [
        "q", `${written(a, b, c, d, e, f)} cm /P${this.pictures.length - 1} Do`, "Q"]);
    }
  }

  // ------------------------------------------------------------------ the file

  const named = (prefix, all) => all.map((one, place) => `/${prefix}${place} ${one}`).join(" ");
  const stream = (about, content) =>
    `<< ${about} /Length ${content.length} >>\nstream\n${content}\nendstream`;

  /** Return the function of a gradient: from stop to stop. */
  function blend(stops) {
    const ordered = [...stops];
    if (ordered[0][0] > 0) ordered.unshift([0, ordered[0][1]]);
    if (ordered.at(-1)[0] < 1) ordered.push([1, ordered.at(-1)[1]]);
    const rgb = ([, parts]) => `[${written(...parts.slice(0, 3))}]`;
    const pieces = ordered.slice(1).map((stop, place) =>
      `<< /FunctionType 2 /Domain [0 1] /N 1 /C0 ${rgb(ordered[place])} /C1 ${rgb(stop)} >>`);
    return `<< /FunctionType 3 /Domain [0 1] /Functions [${pieces.join(" ")}] /Bounds [${
      written(...ordered.slice(1, -1).map(([at]) => at))}] /Encode [${pieces.map(() => "0 1").join(" ")}] >>`;
  }

  function file(page, width, height, title) {
    const size = written(POINT * width, POINT * height);
    const content = [`${written(POINT, 0, 0, -POINT, 0, POINT * height)} cm`, ...page.lines].join("\n");
    const fonts = Object.entries(FONTS).map(([name, base]) =>
      `/${name} << /Type /Font /Subtype /Type1 /BaseFont /${base} /Encoding /WinAnsiEncoding >>`);
    const opacities = [...page.opacities.keys()].map((x) => `<< /ca ${written(x)} /CA ${written(x)} >>`);
    const shadings = page.shadings.map(({ coordinates, stops }) =>
      `<< /ShadingType 2 /ColorSpace /DeviceRGB /Coords [${written(...coordinates)}] /Extend [true true] ${
        ""}/Function ${blend(stops)} >>`);
    const letters = Array.from({ length: title.length }, (_, i) =>
      title.charCodeAt(i).toString(16).padStart(4, "0"));
    const objects = [
      "<< /Type /Catalog /Pages 2 0 R >>",
      "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${size}] /Contents 4 0 R /Resources << /Font << ${
        fonts.join(" ")} >> /ExtGState << ${named("A", opacities)} >> /Shading << ${
        named("S", shadings)} >> /XObject << ${
        named("P", page.pictures.map((_, place) => `${6 + place} 0 R`))} >> >> >>`,
      stream("", content),
      `<< /Title <feff${letters.join("")}> /Producer (resonance-bench) >>`,
      ...page.pictures.map((one) => stream(`/Type /XObject /Subtype /Image /ImageMask true /Width ${
        one.width} /Height ${one.height} /BitsPerComponent 1`, one.bits)),
    ];
    let text = "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n";
    const places = objects.map((object, place) => {
      const at = text.length;
      text += `${place + 1} 0 obj\n${object}\nendobj\n`;
      return `${String(at).padStart(10, "0")} 00000 n \n`;
    });
    const count = objects.length + 1;
    const end = `xref\n0 ${count}\n0000000000 65535 f \n${places.join("")}trailer\n<< /Size ${
      count} /Root 1 0 R /Info 5 0 R >>\nstartxref\n${text.length}\n%%EOF\n`;
    return Uint8Array.from(text + end, (letter) => letter.charCodeAt(0));
  }

  /** Return a view of Vega as the bytes of a file. */
  async function of(view, title) {
    const { width, height } = await view.toCanvas(1);
    const page = new Page();
    await view.toCanvas(1, { externalContext: page });
    return file(page, width, height, title);
  }

  return { of };
})();
