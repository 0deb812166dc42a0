import type pg from 'pg';

export interface Sent {
  readonly text: string;
  readonly values: readonly unknown[];
}

interface PlanNode {
  readonly 'Relation Name'?: string;
  readonly 'Node Type': string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
}

export interface Examined {
  /** Rows that were read from our tables, whether or not they were used. */
  readonly rows: number;
  /** Tables or partitions that were read completely and were not empty. */
  readonly scanned: readonly string[];
  /** Tables or partitions that were opened, even if they were empty. */
  readonly opened: readonly string[];
}

/** What several statements read together. */
export async function examineAll(
  client: pg.ClientBase,
  all: readonly Sent[],
  plan: 'generic' | 'custom',
): Promise<Examined> {
  const sum = { rows: 0, scanned: new Set<string>(), opened: new Set<string>() };
  for (const each of all) {
    const { rows, scanned, opened } = await examine(client, each, plan);
    sum.rows += rows;
    for (const name of scanned) sum.scanned.add(name);
    for (const name of opened) sum.opened.add(name);
  }
  return { rows: sum.rows, scanned: [...sum.scanned], opened: [...sum.opened] };
}

/** Executes a statement, by the generic plan or by one for these values, and returns what it read. */
export async function examine(
  client: pg.ClientBase,
  { text, values }: Sent,
  plan: 'generic' | 'custom',
): Promise<Examined> {
  const literals = values.map((each) => literal(client, each));
  await client.query(`set plan_cache_mode = force_${plan}_plan`);
  await client.query(`prepare examined as ${text}`);
  try {
    const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
      `explain (analyze, format json) execute examined(${literals.join(', ')})`,
    );
    const reads = nodesOf(rows[0]!['QUERY PLAN'][0].Plan).filter((each) =>
      /^(?!pg_)/.test(each['Relation Name'] ?? 'pg_'),
    );
    return {
      rows: reads.reduce((sum, each) => sum + readBy(each), 0),
      scanned: reads
        .filter((each) => each['Node Type'] === 'Seq Scan' && readBy(each) > 0)
        .map((each) => each['Relation Name']!),
      opened: reads.filter((each) => each['Actual Loops'] > 0).map((each) => each['Relation Name']!),
    };
  } finally {
    await client.query('deallocate examined');
    await client.query('reset plan_cache_mode');
  }
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

/** All rows that a node read: those it returned and those it filtered out. */
function readBy(node: PlanNode): number {
  const left = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
  return Math.round((node['Actual Rows'] + left) * node['Actual Loops']);
}

function literal(client: pg.ClientBase, value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return client.escapeLiteral(`{${value.map(element).join()}}`);
  return client.escapeLiteral(textOf(value));
}

function element(value: unknown): string {
  return value === null ? 'null' : JSON.stringify(textOf(value));
}

function textOf(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value);
}
