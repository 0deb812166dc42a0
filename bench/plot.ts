export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

interface Axes {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** The axis in powers of ten. */
  readonly logX?: boolean;
  readonly logY?: boolean;
}

const width = 640;
const height = 360;
const margin = { left: 70, right: 20, top: 40, bottom: 50 };
const colors = ['#0b6e4f', '#c8553d', '#2d4d8f', '#8a6d00'];

/** A line chart as SVG, readable on light and dark, without a library. */
export function plot({ title, x, y, logX = false, logY = false }: Axes, series: readonly Series[]): string {
  const all = series.flatMap(({ points }) => points);
  const place = scale(all, logX, logY);
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
${[...rulers(all, place, logY), ...ticks(all, place, logX)].join('\n')}
<text x="${width / 2}" y="${height - 10}" text-anchor="middle">${encode(x)}</text>
<text transform="translate(16 ${height / 2}) rotate(-90)" text-anchor="middle">${encode(y)}</text>
${[...lines, ...legend].join('\n')}
</svg>
`;
}

type Place = (point: readonly [number, number]) => [number, number];

type Points = readonly (readonly [number, number])[];

function scale(points: Points, logX: boolean, logY: boolean): Place {
  const [xOf, yOf] = [logX, logY].map((isLog) => (value: number) => (isLog ? Math.log10(value) : value));
  const xs = points.map(([x]) => xOf!(x));
  const ys = points.map(([, y]) => y);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const bottom = logY ? Math.floor(yOf!(Math.min(...ys))) : 0;
  const top = yOf!(Math.max(...ys) * 1.05) || 1;
  return ([x, y]) => [
    Math.round(margin.left + ((xOf!(x) - left) / (right - left || 1)) * (width - margin.left - margin.right)),
    Math.round(height - margin.bottom - ((yOf!(y) - bottom) / (top - bottom)) * (height - margin.top - margin.bottom)),
  ];
}

/** The lines across the chart, and their values. */
function rulers(points: Points, place: Place, logY: boolean): string[] {
  const ys = points.map(([, y]) => y);
  const highest = Math.max(...ys);
  const decades = (): number[] => {
    const first = Math.floor(Math.log10(Math.min(...ys)));
    const count = Math.floor(Math.log10(highest)) - first + 1;
    return Array.from({ length: count }, (_, n) => 10 ** (first + n));
  };
  const values = logY ? decades() : [0, 0.25, 0.5, 0.75, 1].map((share) => share * highest);
  return values.flatMap((value) => {
    const [, at] = place([points[0]![0], value]);
    return [
      `<line x1="${margin.left}" x2="${width - margin.right}" y1="${at}" y2="${at}" stroke="#ddd"/>`,
      `<text x="${margin.left - 8}" y="${at + 4}" text-anchor="end">${short(value)}</text>`,
    ];
  });
}

function ticks(points: Points, place: Place, logX: boolean): string[] {
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b);
  const shown = logX || xs.length <= 8 ? xs : xs.filter((_, index) => index % Math.ceil(xs.length / 8) === 0);
  return shown.map((each) => {
    const [at] = place([each, 1]);
    return `<text x="${at}" y="${height - margin.bottom + 18}" text-anchor="middle">${short(each)}</text>`;
  });
}

function short(value: number): string {
  if (value >= 1e6) return `${+(value / 1e6).toFixed(1)} M`;
  if (value >= 1e4) return `${+(value / 1e3).toFixed(1)} k`;
  return `${+value.toPrecision(3)}`;
}

function encode(text: string): string {
  return text.replace(/[<&>]/g, (each) => `&#${each.charCodeAt(0)};`);
}
