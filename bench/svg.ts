/** Charts as SVG: plain text that reads well on a light and on a dark page. */

const WIDTH = 760;
const LABELS = 250;
const VALUES = 150;
const ROW = 22;
const COLORS = ['#3b82f6', '#f59e0b', '#10b981', '#a855f7', '#ef4444', '#64748b'];
const STYLE = `<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; font-size: 14px; }
  .line { stroke: #8c959f; stroke-width: 1; fill: none; }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .line { stroke: #7d8590; } }
</style>`;

/** The median of some measurements, and their spread. */
export interface Measured {
  readonly name: string;
  readonly middle: number;
  readonly least: number;
  readonly most: number;
}

/** Measurements that belong together. */
export interface Group {
  readonly title: string;
  readonly bars: readonly Measured[];
}

/** Lying bars, in groups; a whisker shows the spread. A name has one color in all groups. */
export function barChart(title: string, unit: string, groups: readonly Group[]): string {
  const names = [...new Set(groups.flatMap(({ bars }) => bars.map(({ name }) => name)))];
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map((bar) => bar.most)));
  const room = WIDTH - LABELS - VALUES;
  const x = (value: number): string => (LABELS + (value / most) * room).toFixed(1);
  const parts: string[] = [];
  let y = 44;
  for (const group of groups) {
    parts.push(`<text x="8" y="${y + 15}" font-weight="600">${escape(group.title)}</text>`);
    y += ROW;
    for (const { name, middle, least, most: top } of group.bars) {
      const color = COLORS[names.indexOf(name) % COLORS.length]!;
      const width = (Number(x(middle)) - LABELS).toFixed(1);
      const center = y + ROW / 2;
      parts.push(
        `<text x="${LABELS - 8}" y="${y + 15}" text-anchor="end">${escape(name)}</text>`,
        `<rect x="${LABELS}" y="${y + 3}" width="${width}" height="${ROW - 6}" fill="${color}"/>`,
        `<path class="line" d="M${x(least)} ${center}H${x(top)}"/>`,
        `<text x="${Number(x(top)) + 8}" y="${y + 15}">${short(middle)}</text>`,
      );
      y += ROW;
    }
    y += 8;
  }
  return svg(y + 8, `${title} (${unit})`, parts);
}

/** A line of measurements. */
export interface Line {
  readonly name: string;
  /** By their places on the axis, from left to right. */
  readonly points: readonly { readonly at: number; readonly value: number }[];
}

/** Lines over an axis whose marks are equally far from each other, as the sizes measured are. */
export function lineChart(
  title: string,
  unit: string,
  axis: string,
  lines: readonly Line[],
): string {
  const marks = [...new Set(lines.flatMap(({ points }) => points.map(({ at }) => at)))];
  marks.sort((a, b) => a - b);
  const most = Math.max(1, ...lines.flatMap(({ points }) => points.map(({ value }) => value)));
  const [left, right, top, bottom] = [70, WIDTH - 150, 50, 270];
  const x = (at: number): number =>
    left + (marks.indexOf(at) * (right - left)) / Math.max(1, marks.length - 1);
  const y = (value: number): number => bottom - (value / most) * (bottom - top);
  const middle = `<text x="${(left + right) / 2}" y="${bottom + 38}" text-anchor="middle">`;
  const parts = [`<path class="line" d="M${left} ${top}V${bottom}H${right}"/>`];
  for (const at of marks) {
    const label = `<text x="${x(at).toFixed(1)}" y="${bottom + 18}" text-anchor="middle">`;
    parts.push(`${label}${short(at)}</text>`);
  }
  parts.push(
    `${middle}${escape(axis)}</text>`,
    `<text x="${left - 8}" y="${top + 4}" text-anchor="end">${short(most)}</text>`,
    `<text x="${left - 8}" y="${bottom + 4}" text-anchor="end">0</text>`,
  );
  for (const [index, { name, points }] of lines.entries()) {
    const color = COLORS[index % COLORS.length]!;
    const path = points.map(({ at, value }) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
    parts.push(`<path d="M${path.join('L')}" stroke="${color}" stroke-width="2" fill="none"/>`);
    for (const { at, value } of points) {
      const center = `cx="${x(at).toFixed(1)}" cy="${y(value).toFixed(1)}"`;
      parts.push(`<circle ${center} r="3" fill="${color}"/>`);
    }
    const row = top + index * 20;
    parts.push(
      `<rect x="${right + 20}" y="${row - 9}" width="10" height="10" fill="${color}"/>`,
      `<text x="${right + 36}" y="${row}">${escape(name)}</text>`,
    );
  }
  return svg(bottom + 50, `${title} (${unit})`, parts);
}

function svg(height: number, title: string, parts: readonly string[]): string {
  const box = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" ${box} role="img">`,
    `<title>${escape(title)}</title>`,
    STYLE,
    `<text class="title" x="8" y="24">${escape(title)}</text>`,
    ...parts,
    '</svg>',
  ];
  return `${lines.join('\n')}\n`;
}

function escape(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

/** A number for people: three digits, and what it is in thousands or millions. */
export function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))} k`;
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
