export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

interface Axes {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** The x axis in powers of ten. */
  readonly logX?: boolean;
}

const width = 640;
const height = 360;
const margin = { left: 70, right: 20, top: 40, bottom: 50 };
const colors = ['#0b6e4f', '#c8553d', '#2d4d8f', '#8a6d00'];

/** A line chart as SVG, readable on light and dark, without a library. */
export function plot({ title, x, y, logX = false }: Axes, series: readonly Series[]): string {
  const all = series.flatMap(({ points }) => points);
  const place = scale(all, logX);
  const lines = series.map(({ points }, index) => {
    const path = points.map((point) => place(point).join(',')).join(' ');
    return `<polyline points="${path}" fill="none" stroke="${colors[index % colors.length]}" stroke-width="2"/>`;
  });
  const legend = series.map(
    ({ name }, index) =>
      `<text x="${margin.left + 10 + index * 190}" y="${margin.top - 8}" fill="${colors[index % colors.length]}">${encode(name)}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<title>${encode(title)}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${margin.left}" y="18" font-size="14" font-weight="bold">${encode(title)}</text>
${ticks(all, place, logX).join('\n')}
<text x="${width / 2}" y="${height - 10}" text-anchor="middle">${encode(x)}</text>
<text transform="translate(16 ${height / 2}) rotate(-90)" text-anchor="middle">${encode(y)}</text>
${[...lines, ...legend].join('\n')}
</svg>
`;
}

type Place = (point: readonly [number, number]) => [number, number];

function scale(points: readonly (readonly [number, number])[], logX: boolean): Place {
  const of = (value: number): number => (logX ? Math.log10(value) : value);
  const xs = points.map(([x]) => of(x));
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const top = Math.max(...points.map(([, y]) => y)) * 1.05 || 1;
  return ([x, y]) => [
    Math.round(margin.left + ((of(x) - low) / (high - low || 1)) * (width - margin.left - margin.right)),
    Math.round(height - margin.bottom - (y / top) * (height - margin.top - margin.bottom)),
  ];
}

function ticks(points: readonly (readonly [number, number])[], place: Place, logX: boolean): string[] {
  const highest = Math.max(...points.map(([, y]) => y));
  const first = points[0]![0];
  const marks: string[] = [];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const [, at] = place([first, highest * share]);
    marks.push(`<line x1="${margin.left}" x2="${width - margin.right}" y1="${at}" y2="${at}" stroke="#ddd"/>`);
    marks.push(`<text x="${margin.left - 8}" y="${at + 4}" text-anchor="end">${short(highest * share)}</text>`);
  }
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b);
  const shown = logX || xs.length <= 8 ? xs : xs.filter((_, index) => index % Math.ceil(xs.length / 8) === 0);
  for (const each of shown) {
    const [at] = place([each, 0]);
    marks.push(`<text x="${at}" y="${height - margin.bottom + 18}" text-anchor="middle">${short(each)}</text>`);
  }
  return marks;
}

function short(value: number): string {
  if (value >= 1e6) return `${+(value / 1e6).toFixed(1)} M`;
  if (value >= 1e4) return `${+(value / 1e3).toFixed(1)} k`;
  return `${+value.toPrecision(3)}`;
}

function encode(text: string): string {
  return text.replace(/[<&>]/g, (each) => `&#${each.charCodeAt(0)};`);
}
