import { writeFileSync } from 'node:fs';
import type { Grown } from './growth.ts';
import { plot } from './plot.ts';
import type { Row } from './run.ts';

/** Draws bench/latency.svg and bench/growth.svg. */
export function draw(rows: readonly Row[], growth: readonly Grown[]): void {
  const latencies = rows.flatMap(({ name, latency }) =>
    latency ? [{ name, points: Object.entries(latency).map(([share, ms]) => [Number(share), ms] as const) }] : [],
  );
  const axes = { title: 'Latency at half the highest rate, open model', x: 'percentile', y: 'milliseconds' };
  writeFileSync('bench/latency.svg', plot(axes, latencies));
  const points = growth.map(({ sessions, rate }) => [sessions, rate] as const);
  const grown = { title: 'Refresh as the table grows', x: 'sessions', y: 'refreshes a second', logX: true };
  writeFileSync('bench/growth.svg', plot(grown, [{ name: 'Refresh', points }]));
}
