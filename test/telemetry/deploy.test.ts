import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { WorkerMetrics } from '../../src/workers/metrics.ts';
import { Scrape, scrape } from '../support/scrape.ts';
import { start } from '../support/start.ts';

/** The queries of dashboards and rules. Each rule has its query on one line. */
function queriesIn(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  if (!file.endsWith('.json')) return [...text.matchAll(/^ +expr: (.+)$/gm)].map(([, query]) => query!);
  const found: string[] = [];
  JSON.parse(text, (key, value) => {
    if ((key === 'expr' || key === 'query') && typeof value === 'string' && value !== 'prometheus') found.push(value);
    return value;
  });
  return found;
}

const words = new Set(
  `sum min max topk rate increase changes absent histogram_quantile time label_values offset and or on unless
   group_left instance`.split(/\s+/),
);

/** The names in a query: matchers, ranges, groupings, numbers and functions are removed. */
function metricsIn(query: string): string[] {
  const bare = query
    .replace(/\{[^}]*\}|\[[^\]]*\]|"[^"]*"/g, ' ')
    .replace(/\b(by|on|without|group_left)\s*\([^)]*\)/g, ' ')
    .replace(/\b\d[\d.]*[smhdw]?\b/g, ' ');
  return [...bare.matchAll(/[a-zA-Z_:][\w:]*/g)].map(([word]) => word).filter((word) => !words.has(word));
}

/** The metrics of a replica, including those of a replica with several workers. */
async function exportedTypes(): Promise<ReadonlyMap<string, string>> {
  const service = await start();
  const { types } = await scrape(service.replicas[0]!);
  const workers = new Scrape(await new WorkerMetrics(() => 2).scrape(() => []));
  return new Map([...types, ...workers.types]);
}

test('dashboards and alert rules query only metrics that a replica exports', async () => {
  const types = await exportedTypes();
  const suffixes = { histogram: ['_bucket', '_sum', '_count'], counter: [''], gauge: [''] };
  const exported = new Set([...types].flatMap(([name, type]) => suffixes[type as 'gauge'].map((end) => name + end)));
  const files = globSync('deploy/**/*.{json,yaml}').filter((file) => /grafana|prometheus/.test(file));
  expect(files.map((file) => file.split('/').at(-1)).sort()).toEqual(['gatehouse.json', 'gatehouse.rules.yaml']);
  for (const file of files) {
    const asked = queriesIn(file).flatMap(metricsIn);
    expect(asked.length, file).toBeGreaterThan(20);
    expect(
      [...new Set(asked)].filter((name) => !exported.has(name)),
      file,
    ).toEqual([]);
  }
});

test('every alert rule has a severity and a description', () => {
  const text = readFileSync('deploy/prometheus/gatehouse.rules.yaml', 'utf8');
  const rules = text.split(/^ +- alert: /m).slice(1);
  expect(rules.length).toBeGreaterThan(15);
  for (const rule of rules) {
    expect(rule).toMatch(/^Gatehouse\w+\n/);
    expect(rule).toMatch(/^ +expr: \S/m);
    expect(rule).toMatch(/^ +labels: \{ severity: (page|ticket) \}$/m);
    expect(rule).toMatch(/^ +summary: .{10}/m);
  }
});

test('every metric of the service is on the dashboard', async () => {
  const types = await exportedTypes();
  const dashboard = readFileSync('deploy/grafana/gatehouse.json', 'utf8');
  const ours = [...types.keys()].filter((name) => /^(gatehouse|rpc)_/.test(name));
  expect(ours.filter((name) => !dashboard.includes(name))).toEqual([]);
});

test('the sentences of alert rules are quoted, because a colon in a plain one is no YAML', () => {
  const sentences = globSync('deploy/prometheus/*.yaml').flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/^ +(?:summary|description): (.+)$/gm)].map(([, text]) => text!),
  );
  expect(sentences.length).toBeGreaterThan(20);
  expect(sentences.filter((each) => !/^'.*'$/.test(each))).toEqual([]);
});
