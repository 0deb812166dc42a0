import { expect } from 'vitest';
import { defaultProjectId } from '../../src/project/project.ts';
import type { TestDatabase } from './database.ts';
import { asService } from './people.ts';
import { newServiceKey } from './project-methods.ts';
import type { TestService } from './start.ts';

/** Creates a project, and returns what its clients send. */
export async function createTenant(service: TestService, slug: string, settings = {}) {
  const key = newServiceKey(`tenant-${slug}`);
  const draft = { slug, settings, serviceKeys: [key.draft] };
  const { project } = await service.clients('json').admin.createProject(draft, asService);
  const { publishableKey } = project!;
  return {
    project: project!,
    /** Calls without a credential. */
    named: { headers: { 'gatehouse-project': slug } },
    asBackend: key.as,
    serviceKey: key.key,
    apikey: { apikey: publishableKey },
  };
}

// Jobs write these by themselves, as they write when API keys were last used. Refused calls add to the others.
const unwatched = [
  ...['audit_seals', 'audit_unsealed', 'audit_anchors', 'audit_events', 'rate_limits', 'durable_rate_limits'],
  'project_settings',
];

/** A sum over the rows of the default project in each table. */
export async function defaultTenant(database: TestDatabase): Promise<Record<string, string>> {
  // Mails leave by themselves.
  const waiting = `select id from mail_outbox where state = 'queued'`;
  await expect.poll(async () => (await database.query(waiting)).length, { timeout: 10_000 }).toBe(0);
  const tables = (await tablesWith(database, 'project_id')).filter((each) => !unwatched.includes(each));
  const sums = tables.map(
    (table) =>
      `select '${table}' as name, coalesce(md5(string_agg(r.row, '|' order by r.row)), '') as sum
       from (select (to_jsonb(t) - 'last_used_at')::text as row from "${table}" t where project_id = '${defaultProjectId}') r`,
  );
  const rows = await database.query<{ name: string; sum: string }>(sums.join(' union all '));
  return Object.fromEntries(rows.map(({ name, sum }) => [name, sum]));
}

/** The ids of everything that belongs to the default project. */
export async function idsOfDefault(database: TestDatabase): Promise<ReadonlySet<string>> {
  const named = await tablesWith(database, 'project_id');
  const tables = (await tablesWith(database, 'id')).filter((each) => named.includes(each));
  const ids = tables.map((table) => `select id::text from "${table}" where project_id = '${defaultProjectId}'`);
  return new Set((await database.query<{ id: string }>(ids.join(' union '))).map(({ id }) => id));
}

async function tablesWith(database: TestDatabase, column: string): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `select c.table_name as name from information_schema.columns c join pg_class t on t.relname = c.table_name
     where c.table_schema = 'public' and c.column_name = $1 and t.relkind in ('r', 'p') and not t.relispartition`,
    [column],
  );
  return rows.map(({ name }) => name).sort();
}
